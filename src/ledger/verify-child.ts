/** A verification in a process of its own: `<root> <open wait in seconds> [rebuild]`. LevelDB aborts on some damage. */
import { nanoid } from 'nanoid'
import { readConfig } from '../fs/config-file.ts'
import { layoutOf } from '../fs/layout.ts'
import { answer } from '../log/child-answer.ts'
import { closeLog, openLog } from '../log/open.ts'
import { rebuildViews } from '../views/rebuild.ts'
import { SearchIndex } from '../views/search-index.ts'
import { verifyLog } from './verify.ts'

const [root = '', openWait = '30', rebuild] = process.argv.slice(2)
const tell = (done: number, total: number) => void process.stdout.write(`${done} ${total}\n`)

void answer(async () => {
  const layout = layoutOf(root)
  const log = await openLog({
    layout,
    openWaitSeconds: Number(openWait),
    command: 'lockstep verify',
    nonce: () => nanoid(12),
    isExpendable: true,
  })
  try {
    if (rebuild === 'rebuild') {
      await rebuildViews(log, tell)
      await new SearchIndex(log).reached(log.head().size)
    }
    return await verifyLog(log, layout, readConfig(layout.config), {
      onProgress: ({ done, total }) => tell(done, total),
    })
  } finally {
    await closeLog(log, layout)
  }
})
