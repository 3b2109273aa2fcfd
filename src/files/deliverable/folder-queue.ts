import { LockstepError } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'

/**
 * Runs file steps one at a time per folder, for a limited number of folders at once. Each step has a time limit. A
 * step that hangs (for example on a dead network mount) rejects with FILE_FAILED and blocks its folder until it
 * returns.
 */
export class FolderQueue {
  readonly #tails = new Map<string, Promise<unknown>>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  run<T>(folder: string, steps: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(folder) ?? Promise.resolve()
    const work = before.then(() => this.#inPool(steps))
    const tail = work.then(
      () => {},
      () => {},
    )
    this.#tails.set(folder, tail)
    void tail.then(() => {
      if (this.#tails.get(folder) === tail) this.#tails.delete(folder)
    })
    return before.then(() => bounded(work, folder))
  }

  async #inPool<T>(steps: () => Promise<T>): Promise<T> {
    if (this.#running < limits.filePoolMax) this.#running += 1
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await steps()
    } finally {
      // The slot is passed to the next waiting step directly, so that no new step can take it first.
      const next = this.#waiting.shift()
      if (next === undefined) this.#running -= 1
      else next()
    }
  }
}

function bounded<T>(work: Promise<T>, folder: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const seconds = limits.fileStepMillisMax / 1000
      reject(
        new LockstepError('FILE_FAILED', `the files in ${folder} did not answer within ${seconds} s`, {
          details: { outcome: 'unknown' },
          hint: 'Try again with the same lock_id: it finds the grant if there is one.',
        }),
      )
    }, limits.fileStepMillisMax)
  })
  return Promise.race([work, limit]).finally(() => clearTimeout(timer))
}
