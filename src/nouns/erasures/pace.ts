import type { Log } from '../../log/log.ts'

const sliceMillis = 4
/** How much longer than its work long work rests, if others append. */
const restFactor = 6
/** A busy machine makes work seem long. */
const restMillisMax = 60
/** For how long an append counts. Nothing is appended during a slice, so a single look shows nothing. */
const appendMillis = 250

/** The pace of long work in the background: short slices, and long rests between them while others append. */
export class Pace {
  readonly #log: Pick<Log, 'head'>
  #size: number
  #appendedAt = Number.NEGATIVE_INFINITY
  #begun = performance.now()

  constructor(log: Pick<Log, 'head'>) {
    this.#log = log
    this.#size = log.head().size
  }

  /** Called often. It rests when a slice is over. */
  readonly rest = async (): Promise<void> => {
    const now = performance.now()
    const worked = now - this.#begun
    if (worked < sliceMillis) return
    const { size } = this.#log.head()
    if (size !== this.#size) this.#appendedAt = now
    this.#size = size
    await new Promise<void>((resolve) => {
      if (now - this.#appendedAt > appendMillis) setImmediate(resolve)
      else setTimeout(resolve, Math.min(worked * restFactor, restMillisMax))
    })
    this.#begun = performance.now()
  }
}
