import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { given } from '../../../kernel/given.ts'
import { corrupt } from '../../corrupt.ts'
import { failureOf } from '../../failure.ts'
import type { StoredHead } from '../../keyed/rows/head-row.ts'
import { firstSeqIn, headIn, isBeginning, mayFollow, operationOf } from './batch-head.ts'
import { type BadPlace, type LogContent, readLogBlocks, recordBehind } from './log-blocks.ts'
import { type Manifest, manifestOf } from './manifest.ts'

/** The expected result when LevelDB recovers its write-ahead logs. */
export interface Wal {
  /** The names of the logs that LevelDB will read, in order. */
  logs: string[]
  /** The last head row in the logs; undefined if nothing was appended since the last open. */
  head: StoredHead | undefined
  /** Whether the first batch of all is in them, and with it everything. */
  hasBeginning: boolean
  manifest: Manifest & { name: string }
}

/** Whether the MANIFEST needs a file of the database. LevelDB may overwrite all other files. */
export function isNeeded({ logs, manifest }: Wal, name: string): boolean {
  const table = /^(\d+)\.(?:ldb|sst)$/.exec(name)?.[1]
  if (table !== undefined) return manifest.tables.has(Number(table))
  return name === 'CURRENT' || name === manifest.name || logs.includes(name)
}

export interface WalOptions {
  /**
   * Whether the files were last written since this machine booted. If so, all writes of a dead process are there, in
   * order. A crash can then only leave the start of a record at the end of a log.
   */
  isSameBoot: boolean
}

/** LevelDB starts a new log once it passes 4 MiB, so a log exceeds that by at most one batch. A MANIFEST is shorter. */
const fileBytesMax = 64 * 1024 * 1024

/**
 * Reads the MANIFEST and write-ahead logs of a database before LevelDB does. LevelDB skips anything that it cannot
 * read, even after disk errors, and then deletes it. A crash may tear the end of a file, which nothing has acknowledged
 * yet; any other fault is damage. It changes nothing.
 * Errors: LEDGER_CORRUPT (wrong bytes; the details give the file, the position and, if known, the first lost seq),
 * LEDGER_UNAVAILABLE (a file cannot be read).
 * Cost: a pass over these files, at most a few milliseconds.
 */
export function readWal(ledger: string, options: WalOptions): Wal {
  const manifest = readManifest(ledger, options)
  const logs = logsIn(ledger, manifest)
  let head: StoredHead | undefined
  let hasBeginning = false
  let operation = 0
  let torn: { name: string; bad: BadPlace } | undefined
  for (const name of logs) {
    const bytes = readFileOf(ledger, name)
    const content = readLogBlocks(bytes)
    // A new log starts only after all data of the previous log is durable, or when LevelDB recovers the previous log.
    // So records after a torn log mean damage.
    if (torn !== undefined && content.records.length > 0) throw lost(torn, head)
    head = lastHead(content) ?? head
    hasBeginning ||= content.records.slice(0, 1).some(({ payload }) => isBeginning(payload))
    operation = Math.max(operation, operationOf(content.records.at(-1)?.payload ?? Buffer.alloc(0)))
    if (content.bad === undefined) continue
    torn ??= { name, bad: content.bad }
    const behind = recordBehind(bytes, content.bad.at, (fragment) => mayFollow(operation, fragment))
    if (behind !== undefined || !isTorn(content.bad, options)) {
      const seq = head?.size ?? firstSeqIn(bytes.subarray(content.bad.at + fragmentHeaderBytes))
      throw lost({ name, bad: content.bad }, head, seq)
    }
  }
  return { logs, head, hasBeginning, manifest }
}

const fragmentHeaderBytes = 7

/**
 * Whether a crash may have left this at the end of a file, where the last write was not durable yet. A power failure
 * can leave sectors of that write unwritten, with zeros or old content.
 */
function isTorn(bad: BadPlace, { isSameBoot }: WalOptions): boolean {
  return bad.isCut || (!isSameBoot && !bad.isOneByteOff)
}

function lost({ name, bad }: { name: string; bad: BadPlace }, head: StoredHead | undefined, seq = head?.size) {
  const from = seq === undefined ? 'entries' : `entries from ${seq} on`
  return corrupt(`the write-ahead log ${name} is damaged at byte ${bad.at}, so ${from} may be lost: ${bad.problem}`, {
    check: 'bytes',
    file: name,
    at: bad.at,
    ...given({ seq }),
  })
}

/** The last head row in a log. */
function lastHead({ records }: LogContent): StoredHead | undefined {
  for (const { payload } of records.toReversed()) {
    const head = headIn(payload)
    if (head !== undefined) return head
  }
  return undefined
}

function readManifest(ledger: string, options: WalOptions): Wal['manifest'] {
  const current = readFileOf(ledger, 'CURRENT').toString('latin1')
  if (!/^MANIFEST-\d+\n$/.test(current)) throw damaged('CURRENT', 'it does not name a MANIFEST')
  const name = current.trimEnd()
  const bytes = readFileOf(ledger, name)
  const { bad, records } = readLogBlocks(bytes)
  const isRead = bad === undefined || (isTorn(bad, options) && recordBehind(bytes, bad.at, () => true) === undefined)
  if (!isRead) throw damaged(name, `${bad.problem} (byte ${bad.at})`)
  const manifest = manifestOf(records.map(({ payload }) => payload))
  if ('problem' in manifest) throw damaged(name, manifest.problem)
  return { ...manifest, name }
}

/**
 * The logs that LevelDB will recover. LevelDB creates a log before the MANIFEST names it, so that log always exists.
 */
function logsIn(ledger: string, { logNumber, previousLogNumber }: Manifest): string[] {
  const numbers = new Map<number, string>()
  for (const name of namesOf(ledger)) {
    const number = Number(/^(\d+)\.log$/.exec(name)?.[1] ?? Number.NaN)
    if (number >= logNumber || (number === previousLogNumber && number > 0)) numbers.set(number, name)
  }
  if (logNumber > 0 && !numbers.has(logNumber)) {
    const name = `${String(logNumber).padStart(6, '0')}.log`
    throw damaged(name, 'the write-ahead log that the MANIFEST names is missing')
  }
  return [...numbers].sort(([left], [right]) => left - right).map(([, name]) => name)
}

function namesOf(ledger: string): string[] {
  try {
    return readdirSync(ledger)
  } catch (error) {
    throw failureOf(`reading ${ledger}`, error)
  }
}

function damaged(name: string, what: string) {
  return corrupt(`${name} is damaged: ${what}`, { check: 'bytes', file: name })
}

/** Reads a file of the database. Errors: LEDGER_CORRUPT (missing, not a regular file, too long), LEDGER_UNAVAILABLE. */
function readFileOf(ledger: string, name: string): Buffer {
  let descriptor: number | undefined
  try {
    descriptor = openSync(join(ledger, name), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    const stat = fstatSync(descriptor)
    if (!stat.isFile()) throw damaged(name, 'it is not a regular file')
    if (stat.size > fileBytesMax)
      throw damaged(name, `it has ${stat.size} bytes, which is more than LevelDB ever writes`)
    const bytes = Buffer.allocUnsafe(stat.size)
    let length = 0
    for (let read = -1; length < bytes.length && read !== 0; length += read) {
      read = readSync(descriptor, bytes, length, bytes.length - length, null)
    }
    return bytes.subarray(0, length)
  } catch (error) {
    throw failureOf(`reading ${name}`, error)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
