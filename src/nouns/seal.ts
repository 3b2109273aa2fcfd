import type { z } from 'zod'
import type * as shapes from '../api/shapes/log.ts'
import { evolveSeal, refusedAsSealed } from '../domain/log/seal.ts'
import { ledgerStream } from '../domain/log/stream.ts'
import { LockstepError } from '../errors.ts'
import type { Refusal, Row } from '../kernel/decider.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Log } from '../log/log.ts'
import { signersOf } from '../log/signer.ts'
import { type Core, submit } from '../writer/core.ts'
import { errorOf } from '../writer/refusals.ts'

/**
 * Ends the ledger in this place, and signs the head with the entry that says so. A second call with the same place gives
 * the same answer. Callers in line for a lock are refused. Errors: SEAL_DENIED, LEDGER_SEALED, those of the signer.
 */
export async function sealLedger(
  core: Core,
  { actor, to }: z.output<typeof shapes.seal>,
): Promise<shapes.SealedLedger> {
  const { layout, log } = core
  const { place } = log.meta
  if (to === place) throw new LockstepError('INVALID_INPUT', `the ledger is in ${to}, so it is not sealed for it`)
  // Without its signed head a sealed ledger could not be moved.
  await signersOf(log, layout, log.head().size)
  const { entries } = await submit(core, { type: 'ledger.seal', data: { to }, place }, { actor })
  const [entry] = entries
  if (entry === undefined) throw new LockstepError('LEDGER_CORRUPT', 'the entry of the seal is missing')
  core.waiters.refuseAll(errorOf(sealedBy(entry, place) as Refusal))
  const { note, root } = await log.sign(entry.seq + 1)
  return { checkpoint: note, root, seq: entry.seq, size: entry.seq + 1, to }
}

/** What is refused in a place after an entry; undefined if nothing is. */
function sealedBy(entry: Entry, place: string | undefined): Refusal | undefined {
  return refusedAsSealed({ last_seq: entry.seq, state: { sealed: evolveSeal(undefined, entry) } }, place)
}

/**
 * Whether this place has the ledger, by the published entries. Commands are refused by their decisions anyway; this
 * refuses them before they write objects or files for an entry that cannot follow.
 */
export class SealWatch {
  readonly #place: string | undefined
  #refusal: Refusal | undefined

  private constructor(place: string | undefined, refusal: Refusal | undefined) {
    this.#place = place
    this.#refusal = refusal
  }

  /** Cost: one read. */
  static async of(log: Log): Promise<SealWatch> {
    const [row] = await log.load([{ view: 'row', key: ledgerStream }])
    const { place } = log.meta
    return new SealWatch(place, refusedAsSealed(row as Row | undefined, place))
  }

  get isSealed(): boolean {
    return this.#refusal !== undefined
  }

  published(entries: readonly Entry[]): void {
    for (const entry of entries) if (entry.type === 'ledger.sealed') this.#refusal = sealedBy(entry, this.#place)
  }

  /** Errors: LEDGER_SEALED. */
  readonly assertNotSealed = (): void => {
    if (this.#refusal !== undefined) throw errorOf(this.#refusal)
  }
}
