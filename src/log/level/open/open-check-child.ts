/**
 * Runs the open check in its own process: `<root> <log bytes> all|newest`. LevelDB aborts on some kinds of damage, and
 * then only this process dies. `all` reads every byte, because a change to the files may have damaged any of them. It
 * then prints a line with its progress ten times a second.
 */

import { layoutOf } from '../../../disk/layout.ts'
import { LockstepError } from '../../../errors.ts'
import { readHeadFile } from '../../head-file.ts'
import { KeyedLog } from '../../keyed/log.ts'
import { verifyStored } from '../repair/verify.ts'
import { openStore } from '../store.ts'
import { answer } from './child-answer.ts'
import { checkOpened } from './open-check.ts'

const [root = '', logBytes = '0', depth = 'all'] = process.argv.slice(2)
const progressMillis = 100

void answer(async () => {
  const layout = layoutOf(root)
  const store = await openStore(layout.ledger, { create: false })
  try {
    const headFile = readHeadFile(layout.head)
    checkOpened(KeyedLog.open(store), store, { logBytes: Number(logBytes), headFile })
    if (depth === 'all') await verifyStored(store, { headFile, progress: print() }).catch(asCorrupt)
  } finally {
    await store.close()
  }
})

function print(): (done: number, total: number) => void {
  let due = 0
  return (done, total) => {
    if (performance.now() < due) return
    due = performance.now() + progressMillis
    process.stdout.write(`${done} ${total}\n`)
  }
}

/** A difference found by a verification is a reason not to open the ledger. */
function asCorrupt(error: unknown): never {
  if (!(error instanceof LockstepError) || error.code !== 'VERIFY_FAILED') throw error
  const { cause, details, hint, message } = error
  throw new LockstepError('LEDGER_CORRUPT', message, { cause, details, hint })
}
