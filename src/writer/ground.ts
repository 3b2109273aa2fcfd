import type { Loaded } from '../views/loaded.ts'
import type { Plan } from './plan.ts'

/**
 * What batches are decided on: the batch that is being written, if there is one, and then the published state. It asks
 * for that batch at each read. A plan that kept the one before it would keep all of them.
 */
export function groundOf(before: () => Plan | undefined, published: Loaded): Loaded {
  return {
    row: (stream) => before()?.rows.get(stream) ?? published.row(stream),
    state: (key) => {
      const state = before()?.state
      return state?.has(key) ? state.get(key) : published.state(key)
    },
    object: (digest) => published.object(digest),
    entry: (seq) => before()?.ownEntry(seq) ?? published.entry(seq),
  }
}
