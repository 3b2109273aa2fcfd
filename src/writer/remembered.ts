/** A map whose changes since the last `endBatch` can be taken back, in case the batch that made them is discarded. */
export class Remembered<Value extends object> {
  readonly #values = new Map<string, Value>()
  /** The previous values of what the current batch changed. */
  #before = new Map<string, Value | undefined>()

  get size(): number {
    return this.#values.size
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  entries(): IterableIterator<[string, Value]> {
    return this.#values.entries()
  }

  /** Sets a value; undefined removes it. */
  set(key: string, value: Value | undefined): void {
    if (!this.#before.has(key)) this.#before.set(key, this.#values.get(key))
    this.#put(key, value)
  }

  /** Ends a batch. The returned function restores the values from before the batch. */
  endBatch(): () => void {
    const before = this.#before
    this.#before = new Map()
    return () => {
      for (const [key, value] of before) this.#put(key, value)
    }
  }

  #put(key: string, value: Value | undefined): void {
    if (value === undefined) this.#values.delete(key)
    else this.#values.set(key, value)
  }
}
