import type { Meta } from './log.ts'

/**
 * The seqs of the entries that name a ledger, oldest first; the last one is in force. With `size`, a restore whose entry
 * is missing counts as interrupted and is left out.
 */
export function identitySeqs({ restored = [] }: Meta, size = Number.POSITIVE_INFINITY): number[] {
  return [0, ...restored.map(({ seq }) => seq).filter((seq) => seq < size)]
}

/** The seq of the entry that names the ledger and its key. `size` is that of `identitySeqs`. */
export function identitySeq(meta: Meta, size?: number): number {
  return identitySeqs(meta, size).at(-1) ?? 0
}
