import { limits } from '../kernel/limits.ts'
import type { LocalLedger } from '../ledger.ts'
import type { Log } from './log.ts'
import { Outside, type OutsideFigures } from './outside.ts'
import { Sweep } from './sweep.ts'

export interface DutiesFigures extends OutsideFigures {
  leases_active: number
}

/** The figures of a process that does not write the ledger. */
export const noDuties: DutiesFigures = {
  anchors_failing: 0,
  leases_active: 0,
  witness_quorum_age_s: null,
  witness_quorum_size: null,
  witnesses_failing: 0,
}

/** What the service that writes a ledger does besides answering: it ends what has expired, and asks witnesses. */
export class Duties {
  readonly #outside: Outside
  readonly #sweep: Sweep

  constructor(ledger: LocalLedger, log: Log, sweepSeconds: number = limits.sweepMillis / 1000) {
    this.#sweep = new Sweep(ledger, {
      failed: (error) => log.warn({ err: error }, 'ending expired leases failed'),
      millis: sweepSeconds * 1000,
    })
    this.#outside = new Outside(ledger, log)
  }

  get figures(): DutiesFigures {
    return { ...this.#outside.figures, leases_active: this.#sweep.held }
  }

  async stop(): Promise<void> {
    await Promise.all([this.#sweep.stop(), this.#outside.stop()])
  }
}
