/** Thrown if the bytes end before a value is complete. The reader of the file decides what that means. */
export class EndsTooSoon extends Error {}

/** Reads the bytes of a LevelDB file from front to back. Errors: EndsTooSoon. */
export class Numbers {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isLeft(): boolean {
    return this.#at < this.#bytes.length
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new EndsTooSoon('it ends too early')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw new EndsTooSoon('it ends too early')
    this.#at += 1
    return byte
  }

  fixed(length: number): number {
    return this.take(length).readUIntLE(0, length)
  }

  /** A variable-length number: seven bits per byte, lowest first. The high bit means that another byte follows. */
  next(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  /** A byte string preceded by its length. */
  slice(): Buffer {
    return this.take(this.next())
  }
}
