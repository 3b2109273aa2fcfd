import { layoutOf } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { LocalLedger } from '../ledger.ts'
import { isSignatureOf } from '../log/signer.ts'
import { verifyQuorum, type WitnessPolicy } from '../merkle/witness-policy.ts'
import { sendToAnchor } from '../witness/anchors.ts'
import { newestQuorum } from '../witness/kept-notes.ts'
import { configuredPolicy, syncWitnesses } from '../witness/sync.ts'
import type { Log } from './log.ts'

/** What is known outside of the ledger about its newest checkpoints. */
export interface OutsideFigures {
  /** The places that the last round could not send a checkpoint to. */
  anchors_failing: number
  /** Seconds since a quorum of witnesses cosigned last, and the size that it cosigned; null if none ever did. */
  witness_quorum_age_s: number | null
  witness_quorum_size: number | null
  /** The witnesses that did not cosign in the last round. */
  witnesses_failing: number
}

/** How often it is looked whether a round is due. */
const tickMillis = 1_000

/**
 * Has the newest checkpoint cosigned by witnesses, and sends it to the anchors, at the intervals of the configuration in
 * force. What fails is logged and counted, and the ledger goes on; only a proven fork stops it.
 */
export class Outside {
  readonly #ledger: LocalLedger
  readonly #log: Log
  readonly #timer: NodeJS.Timeout
  readonly #failing = { anchors: 0, witnesses: 0 }
  #due = { anchors: 0, witness: 0 }
  #quorum: { seconds: number; size: number } | undefined
  #work: Promise<void> | undefined

  constructor(ledger: LocalLedger, log: Log) {
    this.#ledger = ledger
    this.#log = log
    this.#timer = setInterval(() => this.#tick(), tickMillis)
    this.#timer.unref()
  }

  /** Waits for the round in progress, at most for the time of one drain. A round has its own time-outs. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    let timer: NodeJS.Timeout | undefined
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limits.drainMillisMax)
    })
    await Promise.race([this.#work ?? Promise.resolve(), enough])
    clearTimeout(timer)
  }

  get figures(): OutsideFigures {
    const quorum = this.#quorum
    return {
      anchors_failing: this.#failing.anchors,
      witness_quorum_age_s: quorum === undefined ? null : Math.max(0, nowSeconds() - quorum.seconds),
      witness_quorum_size: quorum?.size ?? null,
      witnesses_failing: this.#failing.witnesses,
    }
  }

  #tick(): void {
    if (this.#work !== undefined) return
    const { anchor_every_s, anchors, witness } = this.#ledger.settings
    const now = performance.now()
    const rounds: Promise<void>[] = []
    if (witness !== undefined && now >= this.#due.witness) {
      this.#due.witness = now + witness.every_s * 1000
      rounds.push(this.#witness(witness.policy).catch((error: unknown) => this.#failed(error, 'witnesses')))
    }
    if (anchors.length > 0 && now >= this.#due.anchors) {
      this.#due.anchors = now + anchor_every_s * 1000
      rounds.push(this.#anchor(anchors))
    }
    if (rounds.length === 0) return
    this.#work = Promise.all(rounds).then(() => {
      this.#work = undefined
    })
  }

  async #witness(file: string): Promise<void> {
    const layout = layoutOf(this.#ledger.dir)
    const policy = await configuredPolicy(layout, file)
    try {
      const { is_quorum, size, witnesses } = await syncWitnesses(this.#ledger, { layout, policy })
      const failing = witnesses.filter(({ status }) => status !== 'cosigned')
      this.#failing.witnesses = failing.length
      for (const one of failing) this.#log.warn({ ...one }, 'a witness did not cosign')
      if (is_quorum) this.#log.info({ size }, 'a quorum cosigned')
      else this.#log.error({ size }, 'no quorum cosigned')
    } finally {
      await this.#readQuorum(policy)
    }
  }

  /** The newest quorum is read from what is kept, which a command may have brought about, too. */
  async #readQuorum(policy: WitnessPolicy): Promise<void> {
    const { origin } = await this.#ledger.head.get()
    const kept = await newestQuorum(layoutOf(this.#ledger.dir), { origin, policy })
    const verified = kept && (await verifyQuorum(kept.note, policy, isSignatureOf))
    if (kept === undefined || !verified?.ok) return
    const seconds = Math.max(...verified.value.map(({ timestamp }) => timestamp))
    this.#quorum = { seconds, size: kept.checkpoint.size }
  }

  async #anchor(places: readonly string[]): Promise<void> {
    const layout = layoutOf(this.#ledger.dir)
    let failing = 0
    for (const place of places) {
      await sendToAnchor(this.#ledger, layout, place).catch((error: unknown) => {
        failing += 1
        this.#failed(error, 'anchor')
      })
    }
    this.#failing.anchors = failing
  }

  #failed(error: unknown, what: 'anchor' | 'witnesses'): void {
    if (what === 'witnesses') this.#failing.witnesses = Math.max(1, this.#failing.witnesses)
    const isFork = error instanceof LockstepError && error.code === 'LEDGER_FORKED'
    this.#log.error({ err: error }, isFork ? 'the ledger has two histories' : `a round of ${what} failed`)
  }
}

const nowSeconds = () => Math.floor(Date.now() / 1000)
