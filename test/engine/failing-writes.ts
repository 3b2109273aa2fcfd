import type { Store } from '../../src/log/keyed/store.ts'

/** A store whose next write fails when a test says so. */
export class FailingWrites {
  #when: 'before' | 'after' | undefined

  failNext(when: 'before' | 'after'): void {
    this.#when = when
  }

  around<S extends Store>(store: S): S {
    return {
      ...store,
      write: async (batch) => {
        const when = this.#when
        this.#when = undefined
        if (when !== 'before') await store.write(batch)
        if (when !== undefined) throw new Error('a write that a test lets fail')
      },
    }
  }
}
