import type { Entry } from '../kernel/entry.ts'
import type { Log } from '../log/log.ts'
import type { Receipts } from '../views/receipts.ts'
import type { Views } from '../views/views.ts'

interface FollowingParts {
  log: Log
  published: (entries: readonly Entry[]) => void
  receipts: Receipts
  views: Views
}

/**
 * Returns a function that takes in what other processes have appended to a log: it forgets the rows in memory and
 * publishes the new entries. Calls at one moment share one look. Only for a ledger that takes no commands; the writer's
 * own rows are always the newest.
 */
export function following({ log, published, receipts, views }: FollowingParts): () => Promise<void> {
  let { size } = log.head()
  let look: Promise<void> | undefined
  const takeIn = async () => {
    const head = await log.follow()
    if (head.size === size) return
    views.clear()
    receipts.clear()
    for await (const page of log.entries(size, head.size)) published(page)
    size = head.size
  }
  return () => {
    look ??= takeIn().finally(() => {
      look = undefined
    })
    return look
  }
}
