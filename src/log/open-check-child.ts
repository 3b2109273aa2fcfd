/**
 * The open check in a process of its own: `<root> <log bytes> all|newest`. LevelDB aborts on some damage, and
 * then this process is the one that dies.
 */
import { readHeadFile } from '../fs/head-file.ts'
import { layoutOf } from '../fs/layout.ts'
import { answer } from './child-answer.ts'
import { unseal } from './codec.ts'
import * as keys from './keys.ts'
import { Log } from './log.ts'
import { checkOpened } from './open-check.ts'
import { openStore } from './store.ts'

const [root = '', logBytes = '0', depth = 'all'] = process.argv.slice(2)

await answer(async () => {
  const layout = layoutOf(root)
  const store = await openStore(layout.ledger, { create: false })
  try {
    checkOpened(Log.open(store), store, { logBytes: Number(logBytes), headFile: readHeadFile(layout.head) })
    if (depth === 'all') {
      for await (const page of store.scan(keys.ranges.all)) {
        for (const [key, value] of page) unseal(key, value)
      }
    }
  } finally {
    await store.close()
  }
})
