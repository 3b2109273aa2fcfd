/**
 * Maps 64-bit fingerprints to seqs: an open-addressed table, at most half full. Different requests may share a
 * fingerprint, so a lookup returns candidates, and the caller compares the entries. Memory: 16 bytes per slot.
 */
export class ReceiptTable {
  #fingerprints = new BigUint64Array(1024)
  /** Seq + 1; 0 marks a free slot. */
  #seqs = new Float64Array(1024)
  #used = 0

  add(fingerprint: bigint, seq: number): void {
    if (this.#used * 2 >= this.#seqs.length) this.#rehash(this.#seqs.length * 2, 0)
    this.#place(fingerprint, seq)
  }

  /** Candidates at or after a seq, newest last. */
  find(fingerprint: bigint, from: number): number[] {
    const found: number[] = []
    for (let slot = this.#slotOf(fingerprint); this.#seqs[slot] !== 0; slot = this.#next(slot)) {
      const seq = (this.#seqs[slot] ?? 0) - 1
      if (this.#fingerprints[slot] === fingerprint && seq >= from) found.push(seq)
    }
    return found.sort((left, right) => left - right)
  }

  /** Forgets seqs before `from`, once there are enough of them to justify a pass over the table. */
  forgetBefore(from: number, live: number): void {
    if (this.#used > 2 * live + 1024) this.#rehash(this.#seqs.length, from)
  }

  #place(fingerprint: bigint, seq: number): void {
    let slot = this.#slotOf(fingerprint)
    while (this.#seqs[slot] !== 0) slot = this.#next(slot)
    this.#fingerprints[slot] = fingerprint
    this.#seqs[slot] = seq + 1
    this.#used += 1
  }

  #rehash(slots: number, from: number): void {
    const fingerprints = this.#fingerprints
    const seqs = this.#seqs
    this.#fingerprints = new BigUint64Array(slots)
    this.#seqs = new Float64Array(slots)
    this.#used = 0
    for (const [slot, kept] of seqs.entries()) {
      if (kept !== 0 && kept - 1 >= from) this.#place(fingerprints[slot] ?? 0n, kept - 1)
    }
  }

  #slotOf(fingerprint: bigint): number {
    return Number(fingerprint & 0xffffffffn) & (this.#seqs.length - 1)
  }

  #next(slot: number): number {
    return (slot + 1) & (this.#seqs.length - 1)
  }
}
