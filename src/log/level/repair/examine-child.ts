/**
 * Opens and verifies a copy of a database in its own process: `<database> <scratch> <size>…`. It does not modify the
 * original. It answers with the tree head and with the root at each given size that the database reaches.
 */

import { copyFileSync, linkSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '../../../merkle/hash.ts'
import { rootAt } from '../../../merkle/tiles.ts'
import { KeyedLog } from '../../keyed/log.ts'
import { sha256 } from '../../sha256.ts'
import { databaseFiles } from '../files.ts'
import { answer } from '../open/child-answer.ts'
import { checkOpened } from '../open/open-check.ts'
import { openStore } from '../store.ts'
import { isNeeded, readWal } from '../wal/wal.ts'
import type { Examined } from './examine.ts'
import { verifyStored } from './verify.ts'

const [database = '', scratch = '', ...sizes] = process.argv.slice(2)

void answer(async (): Promise<Examined> => {
  mkdirSync(scratch, { mode: 0o700 })
  try {
    const wal = readWal(database, { isSameBoot: false })
    for (const name of databaseFiles(database).filter((name) => isNeeded(wal, name))) take(name)
    const store = await openStore(scratch, { create: false })
    try {
      const log = KeyedLog.open(store)
      checkOpened(log, store, { logBytes: Number.MAX_SAFE_INTEGER, headFile: undefined, logHead: wal.head })
      const { head, meta } = await verifyStored(store, {
        headFile: undefined,
        progress: (done, total) => void process.stdout.write(`${done} ${total}\n`),
      })
      const reached = sizes.map(Number).filter((size) => size <= head.size)
      const roots = Object.fromEntries(reached.map((size) => [size, toHex(rootAt(size, log.tiles, sha256))]))
      return { origin: meta.origin, size: head.size, root: toHex(head.root), roots }
    } finally {
      await store.close()
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
})

/** Tables in use are never written to, so a hard link is safe. */
function take(name: string): void {
  const [from, to] = [join(database, name), join(scratch, name)]
  try {
    if (/\.(?:ldb|sst)$/.test(name)) linkSync(from, to)
    else copyFileSync(from, to)
  } catch {
    copyFileSync(from, to)
  }
}
