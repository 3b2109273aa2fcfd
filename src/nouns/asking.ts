import { IndexBehind, type SearchIndex } from '../views/search-index.ts'

/**
 * The result of a query with a time limit: its answer; the index's progress, if the query still waits for the index;
 * or `late`, if it takes too long and should run on a snapshot.
 */
export type InTime<T> = { answer: T } | { indexed: { done: number; total: number } } | 'late'

/**
 * Runs a query with a time limit in milliseconds. The query must not change anything, because a late query is started
 * again elsewhere. The late query goes on in the background until it ends or the ledger is closed. Rejects with the
 * query's own errors.
 */
export async function askFor<T>(index: SearchIndex, millis: number, question: () => Promise<T>): Promise<InTime<T>> {
  index.waitMillisMax = millis
  const asked = question().then(
    (answer) => ({ answer }),
    (error: unknown) => {
      if (!(error instanceof IndexBehind)) throw error
      return { indexed: { done: error.cursor, total: error.size } }
    },
  )
  for (;;) {
    const timer = new AbortController()
    const first = await Promise.race([asked, late(millis, timer.signal)]).finally(() => timer.abort())
    if (first !== 'late') return first
    // A query that waits for the index is not late: it rejects by itself, with the index's progress.
    if (index.isAwaited) continue
    asked.catch(() => {})
    return first
  }
}

function late(millis: number, signal: AbortSignal): Promise<'late'> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve('late'), millis)
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  })
}
