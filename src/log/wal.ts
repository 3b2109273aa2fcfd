import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { firstSeqIn, headIn, holdsMeta, mayFollow, operationOf } from './batch-head.ts'
import { corrupt } from './corrupt.ts'
import { failureOf } from './failure.ts'
import type { Head } from './head-row.ts'
import { type BadPlace, type LogContent, readLogBlocks, recordBehind } from './log-blocks.ts'
import { type Manifest, manifestOf } from './manifest.ts'

/** What LevelDB will make of its write-ahead logs, if it can read them. */
export interface Wal {
  /** Names of the logs that it will read, in their order. */
  logs: string[]
  /** The last head row in them; undefined where nothing was appended since the database was opened last. */
  head: Head | undefined
  /** Whether the first batch of all is in them, and with it everything. */
  hasBeginning: boolean
  manifest: Manifest & { name: string }
}

/** Whether a file of a database is one that its MANIFEST needs; LevelDB may write over all others. */
export function isNeeded({ logs, manifest }: Wal, name: string): boolean {
  const table = /^(\d+)\.(?:ldb|sst)$/.exec(name)?.[1]
  if (table !== undefined) return manifest.tables.has(Number(table))
  return name === 'CURRENT' || name === manifest.name || logs.includes(name)
}

export interface WalOptions {
  /**
   * Whether the files were last written in this boot of this machine. The process may have died since, but what it
   * wrote is all there, in order: what a crash leaves at the end of a log is then the beginning of a record and
   * nothing else.
   */
  isSameBoot: boolean
}

/** LevelDB begins another log at 4 MiB, after at most one batch more; a MANIFEST is shorter. */
const fileBytesMax = 64 * 1024 * 1024

/**
 * Reads MANIFEST and write-ahead logs of a database before LevelDB does, which passes over what it cannot read, errors of
 * the disk too, and then deletes it. Whatever is last in a file may be torn by a crash, as nobody was answered yet;
 * anything else that is wrong is damage. Changes nothing.
 * Errors: LEDGER_CORRUPT (bytes that are not what was written; details name file, place and, where it can be told, the
 * first lost seq), LEDGER_UNAVAILABLE (a file cannot be read).
 * Cost: a pass over these files, some milliseconds at the most.
 */
export function readWal(ledger: string, options: WalOptions): Wal {
  const manifest = readManifest(ledger, options)
  const logs = logsIn(ledger, manifest)
  let head: Head | undefined
  let hasBeginning = false
  let operation = 0
  let torn: { name: string; bad: BadPlace } | undefined
  for (const name of logs) {
    const bytes = readFileOf(ledger, name)
    const content = readLogBlocks(bytes)
    // A log is begun when all that was written to the one before is durable, or by LevelDB when it recovers that one.
    if (torn !== undefined && content.records.length > 0) throw lost(torn, head)
    head = lastHead(content) ?? head
    hasBeginning ||= content.records.slice(0, 1).some(({ payload }) => holdsMeta(payload))
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
 * What a crash may leave at the end of a file, where the one write under way was not durable yet. A power failure leaves
 * sectors of it that were never written, with zeros or with whatever stood there.
 */
function isTorn(bad: BadPlace, { isSameBoot }: WalOptions): boolean {
  return bad.isCut || (!isSameBoot && !bad.isOneByteOff)
}

function lost({ name, bad }: { name: string; bad: BadPlace }, head: Head | undefined, seq = head?.size) {
  const from = seq === undefined ? 'entries' : `entries from ${seq} on`
  return corrupt(`the write-ahead log ${name} is damaged at byte ${bad.at}, so ${from} may be lost: ${bad.problem}`, {
    check: 'bytes',
    file: name,
    at: bad.at,
    ...(seq === undefined ? {} : { seq }),
  })
}

/** The last head row in a log. */
function lastHead({ records }: LogContent): Head | undefined {
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

/** The logs that LevelDB recovers. It makes a log before the MANIFEST names it, so that one is always there. */
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

/** The bytes of a file of the database. Errors: LEDGER_CORRUPT (missing, no file, too long), LEDGER_UNAVAILABLE. */
function readFileOf(ledger: string, name: string): Buffer {
  let descriptor: number | undefined
  try {
    descriptor = openSync(join(ledger, name), constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    const stat = fstatSync(descriptor)
    if (!stat.isFile()) throw damaged(name, 'it is not a regular file')
    if (stat.size > fileBytesMax) throw damaged(name, `it has ${stat.size} bytes, more than LevelDB writes`)
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
