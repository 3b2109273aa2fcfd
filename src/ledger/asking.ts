import { IndexBehind, type SearchIndex } from '../views/search-index.ts'

/**
 * What came of a question that may not take long: its answer, how far the index has come that it waits for, or that
 * it takes longer, so that it is for a snapshot.
 */
export type Asked<T> = { answer: T } | { indexed: { done: number; total: number } } | 'late'

/**
 * Runs a question for so long. It must change nothing, for it is begun again elsewhere where it is not done in time;
 * what is left of it then ends when the ledger is closed. Rejects with what the question rejects with.
 */
export async function askFor<T>(index: SearchIndex, millis: number, question: () => Promise<T>): Promise<Asked<T>> {
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
    // What waits for the index is told how far it has come, and keeps that.
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
