import type { Layout } from '../disk/layout.ts'
import { type LastSeqs, RunLockComparison } from '../files/run-lock/check.ts'
import type { Config } from '../kernel/config.ts'
import type { Row } from '../kernel/decider.ts'
import { limits } from '../kernel/limits.ts'
import type { Check } from '../log/check.ts'
import { storedPairs } from '../log/engines.ts'
import { erasedAt, objectIn } from '../log/keyed/objects.ts'
import { entriesOf } from '../log/keyed/reader.ts'
import { readHead } from '../log/keyed/rows/head-row.ts'
import { ranges } from '../log/keyed/rows/keys.ts'
import { readMeta } from '../log/keyed/rows/meta-row.ts'
import { verifyStored } from '../log/level/repair/verify.ts'
import type { Key, Log } from '../log/log.ts'
import { toHex } from '../merkle/hash.ts'
import { IndexComparison } from './compare-index.ts'
import { ReceiptComparison, RowComparison } from './compare-rows.ts'
import { ApprovalVerification } from './verify-approvals.ts'
import { EntryVerification } from './verify-entries.ts'
import { ErasureVerification } from './verify-erasures.ts'
import { KeyVerification } from './verify-keys.ts'
import { PathVerification } from './verify-paths.ts'
import { RunVerification } from './verify-runs.ts'
import { SchemaVerification } from './verify-schema.ts'
import { SealVerification } from './verify-seal.ts'
import { TextVerification } from './verify-texts.ts'
import { TurnVerification } from './verify-turns.ts'

/** The progress of a verification, in entries. `total` grows if another pass is needed. */
export interface Progress {
  done: number
  total: number
}

/** The result of a verification. `warnings` concern edited files, not the ledger itself; a person must judge them. */
export interface Verified {
  entries: number
  /** The size that was verified; entries appended meanwhile are not included. */
  size: number
  root: string
  rows: number
  /** The number of entries that the index covers. The index is extended when it is next used. */
  indexed: number
  warnings: string[]
  /** The rebuild before it, if one was asked for. */
  rebuilt?: Rebuild
}

/** What a rebuild began from, and what it replaced. */
interface Rebuild {
  /** The size of the tree head outside the database that the entries were compared with; null if there was none. */
  anchor_size: number | null
  /** The file with the rows that differed; null if none did. */
  replaced: string | null
  /** How many rows differed. */
  replaced_rows: number
}

export interface VerifyOptions {
  onProgress?: ((progress: Progress) => void) | undefined
  /** The maximum number of rows in memory. Further rows need further passes. */
  rowsMax?: number
  /** Asks the live ledger, if `log` is a copy of it. */
  lastSeqsNow?: LastSeqs
}

/**
 * Reads every byte and derives everything again, from a snapshot, so that others may go on appending. It checks
 * everything that `verifyStored` checks, then each entry's schema, id, time, request and place in its stream, every run's
 * events, all rows, all receipts, and the index as far as it was derived.
 * Errors: VERIFY_FAILED or LEDGER_CORRUPT. The details name the failed `check` and, if there is one, the first bad
 * `seq`. Cost: one pass over the store, two reads per stream, and memory for `limits.verifyRowsMax` open streams.
 */
export async function verifyLog(
  log: Log,
  { root: folder }: Pick<Layout, 'root'>,
  config: Config,
  { lastSeqsNow = lastSeqsIn(log), onProgress, rowsMax = limits.verifyRowsMax }: VerifyOptions = {},
): Promise<Verified> {
  // Read before the snapshot is taken, so that the head file is never ahead of the snapshot.
  const headFile = log.headFile()
  const snapshot = await storedPairs(log)
  try {
    const head = readHead(snapshot)
    const rows = new RowComparison(snapshot, head, rowsMax)
    const index = new IndexComparison(snapshot, head)
    const runLocks = new RunLockComparison(folder, config)
    const checks: Check[] = [
      new SchemaVerification(),
      new TextVerification(),
      new ErasureVerification(),
      new EntryVerification(readMeta(snapshot)),
      rows,
      new ReceiptComparison(snapshot, head),
      index,
      new RunVerification(),
      new ApprovalVerification(),
      new KeyVerification(),
      new PathVerification(),
      new SealVerification(readMeta(snapshot)),
      new TurnVerification({
        erasedAt: (digest) => erasedAt(snapshot, digest),
        object: (digest) => objectIn(snapshot, digest),
      }),
      runLocks,
    ]
    const progress = throttled(head.size, onProgress)
    const stored = await verifyStored(snapshot, { headFile, checks, progress: (done) => progress(done) })
    for (let passes = 1; rows.endPass(); passes += 1) {
      for await (const page of entriesOf(snapshot, 0, head.size)) {
        for (const entry of page) rows.entry(entry)
        progress(page.at(-1)?.seq ?? 0, passes)
      }
      for await (const page of snapshot.scan(ranges.rows(head.generation, ''))) {
        for (const [key, value] of page) rows.row(key, value)
      }
    }
    const warnings = await runLocks.warnings(lastSeqsNow)
    if (stored.left > 0)
      warnings.push(`${stored.left} rows of an unfinished rebuild remain; the next rebuild deletes them`)
    onProgress?.({ done: head.size, total: head.size })
    const { root, size } = head
    return { entries: size, size, root: toHex(root), rows: stored.rows, indexed: index.cursor, warnings }
  } finally {
    await snapshot.close()
  }
}

/**
 * Verifies the entries alone, against the tree head outside the database: what a rebuild relies on. Returns the size of
 * that tree head; undefined if there is none. Errors: VERIFY_FAILED or LEDGER_CORRUPT.
 */
export async function verifyEntries(log: Log, onProgress?: VerifyOptions['onProgress']): Promise<number | undefined> {
  const headFile = log.headFile()
  const snapshot = await storedPairs(log)
  try {
    const checks = [
      new SchemaVerification(),
      new TextVerification(),
      new ErasureVerification(),
      new EntryVerification(readMeta(snapshot)),
    ]
    const progress = throttled(readHead(snapshot).size, onProgress)
    await verifyStored(snapshot, { checks, headFile, onlyEntries: true, progress: (done) => progress(done) })
    return headFile?.size
  } finally {
    await snapshot.close()
  }
}

/** The newest seqs of streams, from the rows of a log. */
export function lastSeqsIn(log: Log): LastSeqs {
  return async (streams) => {
    const rows = await log.load(streams.map((key): Key => ({ view: 'row', key })))
    return new Map(streams.map((stream, at) => [stream, (rows[at] as Row | undefined)?.last_seq]))
  }
}

const progressMillis = 100

/** Limits progress reports to ten per second. */
function throttled(size: number, onProgress: VerifyOptions['onProgress']): (done: number, passes?: number) => void {
  let due = 0
  return (done, passes = 0) => {
    if (onProgress === undefined || performance.now() < due) return
    due = performance.now() + progressMillis
    onProgress({ done: passes * size + done, total: (passes + 1) * size })
  }
}
