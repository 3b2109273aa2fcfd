/** Thrown where bytes end before what they should hold; what reads them says what that means. */
export class EndsTooSoon extends Error {}

/** The bytes of one of LevelDB's files, read from the front. Errors: EndsTooSoon. */
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
    if (this.#at + length > this.#bytes.length) throw new EndsTooSoon('it ends too soon')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw new EndsTooSoon('it ends too soon')
    this.#at += 1
    return byte
  }

  fixed(length: number): number {
    return this.take(length).readUIntLE(0, length)
  }

  /** Seven bits a byte, the lowest first; the high bit says that more follow. */
  next(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }

  /** Bytes behind their length. */
  slice(): Buffer {
    return this.take(this.next())
  }
}
