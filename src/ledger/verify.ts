import type { Config } from '../core/config.ts'
import { limits } from '../core/limits.ts'
import { readHeadFile } from '../fs/head-file.ts'
import type { Layout } from '../fs/layout.ts'
import { entriesOf } from '../log/entries.ts'
import { readHead } from '../log/head-row.ts'
import { ranges } from '../log/keys.ts'
import type { Log } from '../log/log.ts'
import { readMeta } from '../log/meta-row.ts'
import { objectIn } from '../log/objects.ts'
import { verifyStored } from '../log/verify.ts'
import { toHex } from '../merkle/hash.ts'
import { ReceiptComparison, RowComparison } from '../views/compare.ts'
import { IndexComparison } from '../views/compare-index.ts'
import { EntryVerification } from './verify-entries.ts'
import { type LastSeqs, RunLockComparison } from './verify-run-locks.ts'
import { RunVerification } from './verify-runs.ts'
import { TurnVerification } from './verify-turns.ts'

/** How far a verification has come, in entries; `total` grows where a further pass over them is needed. */
export interface Progress {
  done: number
  total: number
}

/** What was verified. `warnings` are for a person to judge: files that somebody edited, not the ledger itself. */
export interface Verified {
  entries: number
  /** As of which size: what others appended meanwhile is not part of it. */
  size: number
  root: string
  rows: number
  /** How many entries the index was derived from so far; it goes on when somebody asks. */
  indexed: number
  warnings: string[]
}

export interface VerifyOptions {
  onProgress?: ((progress: Progress) => void) | undefined
  /** Rows in memory at a time; further ones take further passes. */
  rowsMax?: number
  /** Asks the ledger itself, where `log` is a copy of it. */
  lastSeqsNow?: LastSeqs
}

/**
 * Reads every byte again and derives everything anew, from a snapshot, so that others may go on appending: what
 * `verifyStored` says, then every entry's id, time, request and place in its stream, every run's events, every row,
 * every receipt and, as far as it was derived, the index.
 * Errors: VERIFY_FAILED or LEDGER_CORRUPT, whose details name the `check` that failed and the first bad `seq` where
 * there is one. Cost: one pass over the store, two reads a stream; memory for `limits.verifyRowsMax` open streams.
 */
export async function verifyLog(
  log: Log,
  layout: Layout,
  config: Config,
  { lastSeqsNow = lastSeqsIn(log), onProgress, rowsMax = limits.verifyRowsMax }: VerifyOptions = {},
): Promise<Verified> {
  // Read before the snapshot is taken, so that it is never ahead of it.
  const headFile = readHeadFile(layout.head)
  const snapshot = log.snapshot()
  try {
    const head = readHead(snapshot)
    const entries = new EntryVerification(readMeta(snapshot))
    const rows = new RowComparison(snapshot, head, rowsMax)
    const receipts = new ReceiptComparison(snapshot, head)
    const index = new IndexComparison(snapshot, head)
    const runs = new RunVerification()
    const turns = new TurnVerification((digest) => objectIn(snapshot, digest))
    const runLocks = new RunLockComparison(layout.root, config)
    const progress = throttled(head.size, onProgress)
    const stored = await verifyStored(snapshot, {
      headFile,
      progress: (done) => progress(done),
      entry: (entry) => {
        entries.next(entry)
        rows.next(entry)
        receipts.next(entry)
        index.next(entry)
        runs.next(entry)
        turns.next(entry)
        runLocks.next(entry)
      },
      row: (key, value) => rows.row(key, value),
      state: (name, value) => turns.state(name, value),
      object: (digest, piece) => turns.object(digest, piece),
      note: (note) => turns.note(note),
    })
    entries.end(head.size)
    runs.end(head.size)
    turns.end()
    receipts.end(stored.receipts)
    index.end(stored.index)
    for (let passes = 1; rows.endPass(); passes += 1) {
      for await (const page of entriesOf(snapshot, 0, head.size)) {
        for (const entry of page) rows.next(entry)
        progress(page.at(-1)?.seq ?? 0, passes)
      }
      for await (const page of snapshot.scan(ranges.rows(head.generation, ''))) {
        for (const [key, value] of page) rows.row(key, value)
      }
    }
    const warnings = await runLocks.warnings(lastSeqsNow)
    if (stored.left > 0)
      warnings.push(`${stored.left} rows of a rebuild that did not end are left; the next clears them`)
    onProgress?.({ done: head.size, total: head.size })
    const { root, size } = head
    return { entries: size, size, root: toHex(root), rows: stored.rows, indexed: index.cursor, warnings }
  } finally {
    await snapshot.close()
  }
}

/** The newest entries of streams by the rows of a log. */
export function lastSeqsIn(log: Log): LastSeqs {
  return async (streams) => new Map(streams.map((stream) => [stream, log.row(stream)?.last_seq]))
}

const progressMillis = 100

/** At most ten reports a second, whatever is read in between. */
function throttled(size: number, onProgress: VerifyOptions['onProgress']): (done: number, passes?: number) => void {
  let due = 0
  return (done, passes = 0) => {
    if (onProgress === undefined || performance.now() < due) return
    due = performance.now() + progressMillis
    onProgress({ done: passes * size + done, total: (passes + 1) * size })
  }
}
