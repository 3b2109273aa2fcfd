/** A verification in a process of its own: `<root> <open wait in seconds>`. LevelDB aborts on some damage. */
import { nanoid } from 'nanoid'
import { readConfig } from '../fs/config-file.ts'
import { layoutOf } from '../fs/layout.ts'
import { answer } from '../log/child-answer.ts'
import { closeLog, openLog } from '../log/open.ts'
import { verifyLog } from './verify.ts'

const [root = '', openWait = '30'] = process.argv.slice(2)

await answer(async () => {
  const layout = layoutOf(root)
  const log = await openLog({
    layout,
    openWaitSeconds: Number(openWait),
    command: 'lockstep verify',
    nonce: () => nanoid(12),
    isExpendable: true,
  })
  try {
    return await verifyLog(log, layout, readConfig(layout.config), {
      onProgress: ({ done, total }) => process.stdout.write(`${done} ${total}\n`),
    })
  } finally {
    await closeLog(log, layout)
  }
})
