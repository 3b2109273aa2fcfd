import { evolveSeal, type SealState } from '../domain/log/seal.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Check, Found } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import type { Meta } from '../log/log.ts'

/**
 * Checks that nothing follows the seal of a ledger in the place that it left. A place with a name received the ledger from
 * another place, with all seals before. Errors: VERIFY_FAILED (`seal`).
 */
export class SealVerification implements Check {
  readonly #place: string | undefined
  #seal: SealState | undefined

  constructor({ place }: Meta) {
    this.#place = place
  }

  entry(entry: Entry): void {
    this.#seal = evolveSeal(this.#seal, entry)
  }

  end({ size }: Found): void {
    const { seq = size } = this.#seal ?? {}
    if (this.#place !== undefined || seq + 1 >= size) return
    throw differs('seal', `entry ${seq + 1} follows the seal of the ledger in this place`, { seq: seq + 1 })
  }
}
