import type { Log } from '../../log/log.ts'

const sliceMillis = 4
/** How much longer than its work long work rests, if others append meanwhile. */
const restFactor = 6
/** A busy machine makes work seem long. */
const restMillisMax = 40

/** The pace of long work in the background: short slices, and long rests between them while others append. */
export class Pace {
  readonly #log: Pick<Log, 'head'>
  #size: number
  #begun = performance.now()

  constructor(log: Pick<Log, 'head'>) {
    this.#log = log
    this.#size = log.head().size
  }

  /** Called often. It rests when a slice is over. */
  readonly rest = async (): Promise<void> => {
    const worked = performance.now() - this.#begun
    if (worked < sliceMillis) return
    const { size } = this.#log.head()
    const isAlone = size === this.#size
    await new Promise<void>((resolve) => {
      if (isAlone) setImmediate(resolve)
      else setTimeout(resolve, Math.min(worked * restFactor, restMillisMax))
    })
    this.#size = this.#log.head().size
    this.#begun = performance.now()
  }
}
