import { randomBytes } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileError, isAbsence, syncFolder } from '../../../disk/durable.ts'
import { type Layout, layoutOf, noLedger } from '../../../disk/layout.ts'
import { isDeniedByNode } from '../../../disk/node-permissions.ts'
import { canNameDescriptors } from '../../../disk/open-folder.ts'
import { dropProcessFolders, processFolderName } from '../../../disk/process-folder.ts'
import { readTextFile } from '../../../disk/regular-file.ts'
import { LockstepError, systemCodeOf } from '../../../errors.ts'
import { limits } from '../../../kernel/limits.ts'
import { checkHead, checkKeys } from '../../check-head.ts'
import { corrupt } from '../../corrupt.ts'
import { failureOf } from '../../failure.ts'
import { readHeadFile } from '../../head-file.ts'
import type { TreeHeadFile } from '../../log.ts'
import { linkTables } from '../copy-database.ts'
import { databaseFiles, dropEvidence, fingerprint, logBytes, syncFile } from '../files.ts'
import { LevelLog } from '../level-log.ts'
import { isKnownAlive, readOwner } from '../owner/owner.ts'
import { numberOf } from '../seen-files.ts'
import { openStore } from '../store.ts'
import { readWal } from '../wal/wal.ts'
import { checkInChild, doubtOf, isOfThisBoot } from './doubt.ts'
import { checkOpened } from './open-check.ts'
import { signOnCopy } from './sign-on-copy.ts'
import { copyIfThere, removeAtEnd } from './snapshot-files.ts'

interface Asked {
  layout: Layout
  /** This process may crash because of the database, so no child process checks it first. */
  isExpendable?: boolean
}

/** The name prefix of these folders in the folder for temporary files. */
const prefix = 'lockstep-snapshot-'
const triesMax = 20
const pauseMillis = 10
/** Descriptors that stay free for LevelDB and for the query. */
const sparesMin = 16

/**
 * Opens a private copy of a ledger's database that another process may have open, or that cannot be written (ADR 0051).
 * The copy is in the folder for temporary files, and closing it removes it. Nothing below the root is written.
 *
 * The owner does not take part, so the order of the steps keeps the copy whole:
 * 1. The head file is read first. The copy must reach that head.
 * 2. CURRENT and the MANIFEST that it names are copied. They name the tables in use and the oldest log that is needed.
 *    If the MANIFEST is copied while LevelDB appends to it, the start of the last edit is ignored.
 * 3. The logs are listed, then copied from old to new. LevelDB writes to the newest only, so the copy holds the data of
 *    one moment after the listing. The copied logs are synced, so that nothing is shown that a power failure could undo.
 * 4. The tables are taken. They are immutable, and LevelDB deletes them only after the MANIFEST stops naming them.
 * A log or table that was deleted during the copy is missing, and the copy is made again.
 *
 * Damage is reported if two attempts in a row find the same. No race does that: what one attempt misses because of a
 * compaction, the next MANIFEST does not name.
 * Errors: LEDGER_CORRUPT, LEDGER_UNAVAILABLE (all attempts failed), FORMAT_TOO_NEW, DISK_FULL, FILE_DENIED, FILE_FAILED.
 * Cost: a copy of the logs, at most a few MiB, and one open per table. Without `/proc`, one link per table, or a copy of
 * the database if the temporary folder is on another disk.
 */
export async function openBeside({ isExpendable = false, layout }: Asked): Promise<LevelLog> {
  dropLeftFolders()
  const folder = join(tmpdir(), processFolderName(prefix, randomBytes(9).toString('hex')))
  const copy = layoutOf(folder)
  const stopWatching = removeAtEnd(folder)
  try {
    for (const made of [folder, copy.home]) mkdirSync(made, { mode: 0o700 })
    let found: string | undefined
    for (let tries = 1; ; tries += 1) {
      try {
        // A later format states itself in this file, and only a file is copied.
        readHeadFile(layout.head)
        copyIfThere(layout.head, copy.head)
        const headFile = readHeadFile(copy.head)
        const { log, release } = await openCopy({ isExpendable, layout }, copy, headFile)
        const removed = () => {
          release()
          stopWatching()
          dropEvidence(folder)
        }
        const sign = (size: number) => signOnCopy(log, { layout, later: () => openBeside({ layout }), size })
        log.copied = { head: copy.head, ledger: copy.ledger, removed, sign }
        return log
      } catch (error) {
        if (!existsSync(layout.home)) throw noLedger(layout.root)
        // If another program cleared the folder for temporary files, the database is not to blame.
        const problem = existsSync(copy.home) ? asDamage(error) : undefined
        if (problem === undefined || problem.message === found) throw problem ?? error
        if (tries === triesMax) throw changing(problem)
        found = problem.message
      }
      rmSync(copy.ledger, { recursive: true, force: true })
      await new Promise((resolve) => setTimeout(resolve, pauseMillis))
    }
  } catch (error) {
    stopWatching()
    dropEvidence(folder)
    throw fileError(error, `copying the database of ${layout.root}`)
  }
}

/** Whether this process can write to the ledger's folders, as far as the file system tells. Changes nothing. */
export function isWritable({ home, ledger }: Layout): boolean {
  try {
    for (const folder of [home, ledger]) accessSync(folder, constants.W_OK)
    return true
  } catch (error) {
    return isDeniedByNode(error) || !['EACCES', 'EPERM', 'EROFS'].includes(systemCodeOf(error) ?? '')
  }
}

/** Makes one attempt. `release` lets go of the tables. */
async function openCopy(
  { isExpendable, layout }: Asked,
  copy: Layout,
  headFile: TreeHeadFile | undefined,
): Promise<{ log: LevelLog; release: () => void }> {
  mkdirSync(copy.ledger, { mode: 0o700 })
  const owner = readOwner(layout.owner)
  const isTrusted =
    owner?.state === 'open'
      ? owner.suspect !== 'checking' && isKnownAlive(owner)
      : doubtOf(owner, fingerprint(layout.ledger), '') === 'none'
  copyFirst(layout.ledger, copy.ledger)
  const wal = readWal(copy.ledger, { isSameBoot: isOfThisBoot(owner) })
  syncLogs(layout, wal.logs)
  const tables = [...wal.manifest.tables].map((number) => `${String(number).padStart(6, '0')}.ldb`)
  const release = takeTables(layout.ledger, copy.ledger, tables)
  try {
    const kept = { logBytes: logBytes(copy.ledger), headFile, logHead: wal.head }
    // LevelDB may abort on damage that nobody has looked for yet.
    if (!isTrusted && !isExpendable) await checkInChild(copy, kept.logBytes, 'crashed')
    const store = await openStore(copy.ledger, { create: false })
    try {
      const log = LevelLog.open(store)
      checkOpened(log, store, kept)
      await checkHead(log, headFile)
      await checkKeys(log, layout)
      return { log, release }
    } catch (error) {
      await store.close()
      throw error
    }
  } catch (error) {
    release()
    throw error
  }
}

/** Copies CURRENT, then the MANIFEST that it names, then the logs. Errors: those of the file system. */
function copyFirst(from: string, to: string): void {
  const take = (name: string) => copyFileSync(join(from, name), join(to, name), constants.COPYFILE_EXCL)
  take('CURRENT')
  const current = readTextFile(join(to, 'CURRENT'), limits.currentFileBytes, (is) => corrupt(`CURRENT ${is}`))
  // The reader of the logs reports any other content.
  if (/^MANIFEST-\d+\n$/.test(current ?? '')) take(String(current).trimEnd())
  const logs = databaseFiles(from).filter((name) => name.endsWith('.log'))
  for (const name of logs.sort((one, other) => numberOf(one) - numberOf(other))) take(name)
}

/** The owner may not have synced its last write yet. */
function syncLogs({ ledger }: Layout, logs: readonly string[]): void {
  try {
    for (const name of logs) syncFile(join(ledger, name))
    syncFolder(ledger)
  } catch (error) {
    // A log that no longer exists is in a table, which was synced. Some read-only file systems cannot sync.
    if (isAbsence(error) || ['EINVAL', 'ENOTSUP', 'EROFS'].includes(systemCodeOf(error) ?? '')) return
    throw failureOf('syncing the write-ahead log', error)
  }
}

/**
 * Makes the tables available in the copy. On Linux each table is kept open, and a symbolic link names the open file. That
 * needs no space, works on every file system, and outlives a compaction that deletes the table. Elsewhere, or without
 * enough descriptors, tables are linked or copied. Returns what lets go of them.
 */
function takeTables(from: string, to: string, names: readonly string[]): () => void {
  const opened: number[] = []
  const release = () => {
    for (const descriptor of opened.splice(0)) closeSync(descriptor)
  }
  try {
    if (canNameDescriptors) {
      const own = join('/proc', readlinkSync('/proc/self'), 'fd')
      for (let spare = 0; spare < sparesMin; spare += 1) opened.push(openSync(from, constants.O_RDONLY))
      for (const name of names) {
        const descriptor = openSync(join(from, name), constants.O_RDONLY | constants.O_NOFOLLOW)
        opened.push(descriptor)
        symlinkSync(join(own, String(descriptor)), join(to, name))
      }
      for (const descriptor of opened.splice(0, sparesMin)) closeSync(descriptor)
      return release
    }
  } catch (error) {
    release()
    if (!['EMFILE', 'ENFILE'].includes(systemCodeOf(error) ?? '')) throw error
    for (const name of names) rmSync(join(to, name), { force: true })
  }
  linkTables(from, to, names)
  return release
}

/** The damage that an attempt found, which may be real or made by a race; undefined for any other error. */
function asDamage(error: unknown): LockstepError | undefined {
  if (error instanceof LockstepError) return error.code === 'LEDGER_CORRUPT' ? error : undefined
  if (!isAbsence(error)) return undefined
  const { path = 'a file' } = error as { path?: string }
  return corrupt(`${path} is missing`, { check: 'bytes' }, error)
}

function changing(cause: LockstepError): LockstepError {
  const what = `the database changed during each of ${triesMax} attempts to copy it`
  return new LockstepError('LEDGER_UNAVAILABLE', what, {
    details: { outcome: 'not_applied' },
    hint: 'Try again; another process is compacting the database.',
    cause,
  })
}

/** Removes what killed readers left. Left-over folders cost space and nothing else, so a failure is ignored. */
function dropLeftFolders(): void {
  try {
    dropProcessFolders(tmpdir(), prefix)
  } catch {
    // The next reader tries again.
  }
}
