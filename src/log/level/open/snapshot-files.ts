import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, makeFolderBelow } from '../../../disk/durable.ts'
import type { Layout } from '../../../disk/layout.ts'
import { processFolderName } from '../../../disk/process-folder.ts'
import { LockstepError, systemCodeOf } from '../../../errors.ts'
import { sameBytes } from '../../../merkle/hash.ts'
import { dropEvidence } from '../files.ts'
import { LevelLog } from '../level-log.ts'
import { openStore } from '../store.ts'
import { signOnCopy } from './sign-on-copy.ts'

const triesMax = 20
const pauseMillis = 10

/**
 * A private copy of an open database, for long reads. A process holds the ledger only briefly to make the copy, and
 * reads the copy while other processes use the ledger (ADR 0032).
 *
 * These rules make a copy safe:
 * - Tables (`*.ldb`) are immutable, so they are hard-linked. Only the tables of LevelDB's current version are linked.
 *   The MANIFEST numbers new files above them, so the LevelDB that opens the copy never overwrites a link.
 * - CURRENT, MANIFEST and logs are appended to or deleted, so they are copied.
 * - Nothing is written during the copy (`Log.between`). A compaction can still install other tables. The copy then fails
 *   to open or has a different head, and is made again.
 *
 * Copies an open log and opens the copy. What is written to the copy is lost when it is closed, which removes it.
 * Errors: DISK_FULL, FILE_DENIED, FILE_FAILED, LEDGER_CORRUPT, LEDGER_UNAVAILABLE.
 * Cost: one link per table, or a copy of the whole database if the file system has no hard links.
 */
export async function takeSnapshot(
  log: LevelLog,
  layout: Layout,
  { later, nonce }: { later: () => Promise<LevelLog>; nonce: string },
): Promise<LevelLog> {
  const folder = join(layout.snapshots, processFolderName('', nonce))
  const at = (name: string) => join(folder, name)
  const own = { head: at('head'), ledger: at('ledger') }
  const stopWatching = removeAtEnd(folder)
  try {
    makeFolderBelow(layout.home, layout.snapshots, 0o700)
    mkdirSync(folder, { mode: 0o700 })
    for (let tries = 1; ; tries += 1) {
      const opened = await tryCopy(log, layout, own).catch((error: unknown) => {
        if (tries >= triesMax) throw error
      })
      if (opened !== undefined) {
        const removed = () => {
          stopWatching()
          dropEvidence(folder)
        }
        const sign = (size: number) => signOnCopy(opened, { layout, later, owner: log, size })
        opened.copied = { ...own, removed, sign }
        return opened
      }
      rmSync(own.ledger, { recursive: true, force: true })
      if (tries >= triesMax) throw new LockstepError('LEDGER_UNAVAILABLE', 'the database could not be copied')
      await new Promise((resolve) => setTimeout(resolve, pauseMillis))
    }
  } catch (error) {
    stopWatching()
    dropEvidence(folder)
    log.custody?.assertInPlace()
    throw fileError(error, `copying the database of ${layout.root}`)
  }
}

/** Makes one copy. Returns undefined if the copy does not match the current head. */
async function tryCopy(
  log: LevelLog,
  layout: Layout,
  own: Pick<Layout, 'head' | 'ledger'>,
): Promise<LevelLog | undefined> {
  mkdirSync(own.ledger, { mode: 0o700 })
  // The head file is copied first, so that it is never ahead of the copied database.
  copyIfThere(layout.head, own.head)
  await log.between((store) => store.copyTo(own.ledger))
  const expected = log.head()
  const store = await openStore(own.ledger, { create: false })
  try {
    const copied = LevelLog.open(store)
    const { generation, root, size } = copied.head()
    if (generation === expected.generation && size === expected.size && sameBytes(root, expected.root)) return copied
  } catch (error) {
    await store.close()
    throw error
  }
  await store.close()
  return undefined
}

/** Copies a file that may be missing. Errors: those of the file system. */
export function copyIfThere(from: string, to: string): void {
  try {
    copyFileSync(from, to)
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error
  }
}

const endings = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const
/** The snapshot folders of this process. One listener per signal serves them all. */
const folders = new Set<string>()

/**
 * Removes the folder if a signal or `process.exit` ends this process before the snapshot is closed. If the program
 * handles the signal itself, it must close the snapshot. After SIGKILL, the next open removes the folder. Returns what
 * stops this.
 */
export function removeAtEnd(folder: string): () => void {
  if (folders.size === 0) {
    process.on('exit', removeAll)
    for (const signal of endings) process.on(signal, end)
  }
  folders.add(folder)
  return () => {
    folders.delete(folder)
    if (folders.size === 0) stopListening()
  }
}

function end(signal: NodeJS.Signals): void {
  stopListening()
  if (process.listenerCount(signal) > 0) return
  removeAll()
  process.kill(process.pid, signal)
}

function removeAll(): void {
  for (const folder of folders) dropEvidence(folder)
}

function stopListening(): void {
  process.removeListener('exit', removeAll)
  for (const signal of endings) process.removeListener(signal, end)
}
