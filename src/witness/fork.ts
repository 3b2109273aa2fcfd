import type { Api } from '../api/api.ts'
import { writeDurably } from '../disk/durable.ts'
import type { Layout } from '../disk/layout.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { type Details, LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { checkpointIn as signedBy } from '../log/signer.ts'
import { toHex } from '../merkle/hash.ts'
import { ledgerForked } from '../writer/forked.ts'
import { checkpointIn } from './kept-notes.ts'

/**
 * Compares a note with the ledger. If it is proof that the ledger has two histories, it is kept in `.lockstep/forked`,
 * durably, and the ledger grants no more. Proof is only a checkpoint that a key of the ledger signed while it was in force, of a size that
 * the ledger does not reach or with another root. Errors: LEDGER_FORKED.
 */
export async function assertExtends(
  api: Pick<Api, 'head' | 'keys' | 'log'>,
  layout: Layout,
  note: string,
): Promise<void> {
  const signed = await signedBy(note, (await api.keys.list()).vkey)
  if (!signed.ok) return
  const { root, size } = signed.value
  // Read after the note was signed, so that a ledger that grew in the meantime is not taken for a shorter one.
  const head = await api.head.get()
  if (size <= head.size && (await api.log.consistency({ from: size, to: size })).to_root === toHex(root)) return
  await writeDurably(layout.forked, note, 0o600)
  throw ledgerForked({ forked_size: size, size: head.size })
}

/** How long an answer about the file of a fork counts. */
const seenMillis = 1_000

/**
 * Whether a ledger has proof that it was forked. Another process may find the proof, so the file is looked for again
 * after a second. Once found, the ledger stays forked until it is opened again. Cost: at most one look a second.
 */
export class ForkWatch {
  readonly #origin: string
  readonly #path: string
  #found: Details | undefined
  #until = 0

  constructor({ forked: path }: Pick<Layout, 'forked'>, origin: string) {
    this.#origin = origin
    this.#path = path
  }

  /** The facts about the fork, or undefined. A file that cannot be read counts as proof. */
  found(): Details | undefined {
    if (this.#found !== undefined || performance.now() < this.#until) return this.#found
    this.#until = performance.now() + seenMillis
    this.#found = this.#look()
    return this.#found
  }

  #look(): Details | undefined {
    const unusable = (is: string) => new LockstepError('LEDGER_CORRUPT', `${this.#path} ${is}`)
    try {
      const note = readTextFile(this.#path, limits.homeFileBytes, unusable)
      if (note === undefined) return undefined
      const checkpoint = checkpointIn(note)
      // A copy that became another ledger has the file of its original.
      if (checkpoint !== undefined && checkpoint.origin !== this.#origin) return undefined
      return { forked_size: checkpoint?.size ?? null }
    } catch {
      return { forked_size: null }
    }
  }
}
