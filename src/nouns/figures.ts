import type { Cursors } from '../log/log.ts'
import { hasKey } from '../log/signer.ts'
import type { Core } from '../writer/core.ts'

/** Numbers about an open ledger, for operators. The counts of writes are those since the ledger was opened. */
export interface Figures {
  batches: number
  entries: number
  puts: number
  head_size: number
  /** The entries that the search index, and the slowest reactor, have yet to read. */
  index_lag: number
  reactor_lag: number
  /** Whether a private key in force is in a file of the ledger or with a command. Without one, nothing can be signed. */
  has_key: boolean
  /** Whether commands are still decided, and whether there is proof that the ledger has two histories. */
  is_writable: boolean
  is_forked: boolean
  /** Commands that wait to be decided, and callers that wait for a lock. */
  queue: number
  waiting: number
}

/** The numbers of an open ledger. Cost: one read at first use. */
export async function figuresOf(
  { index, layout, log, waiters }: Core,
  { cursors, writer }: { cursors: Cursors; writer: Pick<Figures, 'is_forked' | 'is_writable' | 'queue'> },
): Promise<Figures> {
  const { size } = log.head()
  return {
    ...log.counts,
    ...writer,
    has_key: await hasKey(log, layout),
    head_size: size,
    index_lag: size - (await index.cursor()),
    reactor_lag: size - Math.min(size, ...Object.values(cursors)),
    waiting: waiters.count,
  }
}
