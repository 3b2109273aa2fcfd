/**
 * Recently used values, in two generations: when the young one is full, `trim` makes it the old one. Values still in
 * use move back. Nothing is forgotten between two calls of `trim`. A value is never undefined.
 */
export class Recent<V> {
  #young = new Map<string | number, V>()
  #old = new Map<string | number, V>()
  #weight = 0
  readonly #countMax: number
  readonly #weightMax: number

  constructor(countMax: number, weightMax = Number.POSITIVE_INFINITY) {
    this.#countMax = countMax
    this.#weightMax = weightMax
  }

  get(key: string | number): V | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    // Its weight was counted in the previous generation, and there are at most two generations.
    if (old !== undefined) this.#young.set(key, old)
    return old
  }

  set(key: string | number, value: V, weight = 0): void {
    this.#weight += weight
    this.#young.set(key, value)
  }

  /** Forgets the values that were not used since the last time the young generation was full. */
  trim(): void {
    if (this.#young.size < this.#countMax / 2 && this.#weight <= this.#weightMax / 2) return
    this.#old = this.#young
    this.#young = new Map()
    this.#weight = 0
  }

  delete(key: string | number): void {
    this.#young.delete(key)
    this.#old.delete(key)
  }

  clear(): void {
    this.#young.clear()
    this.#old.clear()
    this.#weight = 0
  }
}
