import type { z } from 'zod'
import type { Json } from '../core/canonical.ts'
import type { Actor } from '../core/ids.ts'
import * as input from '../core/turn/commands.ts'
import type { Issue } from '../core/turn/issue.ts'
import { firstCode } from '../core/turn/issue-list.ts'
import { LockstepError } from '../errors.ts'
import { type Core, submit } from './core.ts'
import { parse } from './parse.ts'
import type { PolicyApi } from './policy.ts'
import { readProposal, type ToStage } from './proposing.ts'
import { refuseExpired } from './runs.ts'
import type { Stored } from './stored-objects.ts'
import type { Outcome } from './submission.ts'
import {
  type Promoted,
  promotedOf,
  type Staged,
  stagedOf,
  type TurnListing,
  type TurnStatus,
  turnOf,
  turnsOf,
  type Verdict,
  verdictOf,
} from './turn-answers.ts'
import { warm } from './warming.ts'

type Asked<Schema extends z.ZodType> = z.input<Schema>

/**
 * `ledger.turns`: what became true, and in which order. Turns happen in a run that is running; each is staged,
 * validated and promoted, strictly one after the other. Every call takes an optional `actor`, `guard` and
 * `idempotency_key` and rejects with a LockstepError: INVALID_INPUT, NOT_FOUND, NOT_RUN_ACTOR, RUN_LEASE_EXPIRED,
 * RUN_NOT_ACTIVE, STALE_TOKEN, LEASE_EXPIRED, E_PROMOTION_FAILED (malformed turn_id), E_PROMOTION_ALREADY_APPLIED,
 * E_PROMOTION_OUT_OF_ORDER and IDEMPOTENCY_MISMATCH wherever they can be. Refused work carries its `issues` in details.
 */
export class Turns {
  readonly #core: Core
  readonly #policy: PolicyApi

  constructor(core: Core, policy: PolicyApi) {
    this.#core = core
    this.#policy = policy
  }

  /**
   * Holds a proposal, in the place of an earlier one; sovereign state stays as it is. Errors: E_STEM_INVALID,
   * E_STEM_COLLISION, E_JSON_INVALID, E_TRIPLET_INCOMPLETE, E_DTO_LINKS_WRONG_CONTAINER_SHAPE, E_TOMBSTONE_INVALID,
   * LIMIT_EXCEEDED. Cost: the writes of its objects, 256 KiB each, and one append.
   */
  async stage(request: Asked<typeof input.stageSchema>): Promise<Staged> {
    const asked = parse(input.stageSchema, request, 'turn')
    return this.#stage(asked, await readProposal(this.#core, asked))
  }

  /**
   * A verdict on what is staged, recorded. Errors: E_PROMOTION_STAGE_MISSING, E_PROMOTION_NOT_VALIDATED. Cost: one
   * append.
   */
  async validate(request: Asked<typeof input.validateSchema>): Promise<Verdict> {
    const asked = parse(input.validateSchema, request, 'turn')
    return verdictOf(this.#core, await this.#ask({ ...asked, type: 'turn.validate' }))
  }

  /**
   * Makes what is staged and validated sovereign state, whole or not at all. Errors, in the order of the checks:
   * GUARD_REQUIRED, E_PROMOTION_NOT_VALIDATED, E_PROMOTION_STAGE_MISSING, E_TOMBSTONE_INVALID,
   * E_DELETE_MISSING_TOMBSTONE, E_PROMOTION_CONFLICT, E_STEM_COLLISION, E_LSI_DUPLICATE_IDENTITY, E_LSI_ORPHAN_TARGET;
   * all recorded. Cost: one append, a row or two for each stem and ref of the turn.
   */
  async promote(request: Asked<typeof input.promoteSchema>): Promise<Promoted> {
    const asked = parse(input.promoteSchema, request, 'turn')
    const outcome = await this.#ask({ ...asked, type: 'turn.promote' })
    return promotedOf(this.#core, outcome)
  }

  /**
   * Stage, validate and promote, each under the guard. Errors: of all three; a verdict of FAIL is the first code of its
   * issues.
   */
  async apply(request: Asked<typeof input.applySchema>): Promise<Promoted> {
    const { require_staged, ...asked } = parse(input.applySchema, request, 'turn')
    const { actor, guard, idempotency_key: key, run_id, turn_id } = asked
    const keyOf = (step: string) => key && `${key}#${step}`
    const { manifest_digest } = await this.#stage(
      { ...asked, idempotency_key: keyOf('stage') },
      await readProposal(this.#core, asked),
    )
    const ofTurn = { actor, guard, manifest_digest, run_id, turn_id }
    const { issues, outcome } = await this.#verdict(ofTurn, (attempt) => keyOf(`validate${attempt}`))
    if (outcome === 'FAIL') throw failed(turn_id, issues)
    return this.promote({ ...ofTurn, require_staged, idempotency_key: keyOf('promote') })
  }

  /** Gives up what is staged; the turn may be staged again. Errors: E_PROMOTION_STAGE_MISSING. Cost: one append. */
  async reject(request: Asked<typeof input.rejectSchema>): Promise<TurnStatus> {
    const asked = parse(input.rejectSchema, request, 'turn')
    await this.#ask({ ...asked, type: 'turn.reject' })
    return turnOf(this.#core, asked)
  }

  /**
   * How a turn stands. Errors: NOT_FOUND (nothing happened to it), INVALID_INPUT. Cost: a read a promoted turn after
   * it.
   */
  get(request: Asked<typeof input.ofTurnSchema>): TurnStatus {
    return turnOf(this.#core, parse(input.ofTurnSchema, request, 'turn'))
  }

  /**
   * A run's turns, in order, the one under way last: the last `limit` of them, 10,000 at most; where there are more,
   * `next` is the cursor for those before. Errors: NOT_FOUND, INVALID_INPUT (a cursor of none). Cost: a read a turn.
   */
  list(request: Asked<typeof input.listTurnsSchema>): TurnListing {
    return turnsOf(this.#core, parse(input.listTurnsSchema, request, 'turns'))
  }

  /**
   * A turn that failed is refused as a whole, and refusals are decided anew: only a verdict of PASS is answered again.
   */
  async #verdict(
    ofTurn: Asked<typeof input.validateSchema>,
    keyOf: (attempt: number) => string | undefined,
  ): Promise<Verdict> {
    for (let attempt = 1; ; attempt += 1) {
      const verdict = await this.validate({ ...ofTurn, idempotency_key: keyOf(attempt) })
      if (verdict.outcome === 'PASS' || !verdict.replayed) return verdict
    }
  }

  async #stage(asked: AskedOfTurn, { proposal, keep, objects }: ToStage): Promise<Staged> {
    if (objects === undefined) return stagedOf(this.#core, await this.#submit(asked, { proposal, type: 'turn.stage' }))
    const stored = await this.#core.stored.store(objects)
    let outcome: Outcome | undefined
    try {
      outcome = await this.#submit(asked, { proposal, type: 'turn.stage' }, stored)
    } finally {
      // A repeat was answered by earlier entries, which name what they need.
      const isNew = outcome?.replayed === false && outcome.entries.at(-1)?.type === 'turn.staged'
      if (isNew) this.#core.stored.release(stored)
      else await this.#core.stored.drop(stored).catch(leftToTheNextOpen)
    }
    keep()
    return stagedOf(this.#core, outcome)
  }

  async #ask(asked: AskedOfTurn & Rest): Promise<Outcome> {
    await warm(this.#core, asked.run_id)
    const { actor: _, guard: __, idempotency_key: ___, run_id: ____, turn_id: _____, ...rest } = asked
    return this.#submit(asked, rest as Rest)
  }

  async #submit(asked: AskedOfTurn, rest: Rest, stored?: Stored): Promise<Outcome> {
    const { actor, guard, idempotency_key: key, run_id, turn_id } = asked
    const content = { ...rest, command: rest.type, run_id, turn_id } as unknown as Json
    const command = { ...rest, guard, policies: this.#policy.known(), run_id, turn_id } as input.TurnCommand
    const outcome = await submit(this.#core, command, {
      actor,
      notes: stored?.notes,
      request: key === undefined ? undefined : { key, content },
    })
    refuseExpired(outcome)
    return outcome
  }
}

interface AskedOfTurn {
  actor?: Actor | undefined
  guard?: { name: string; token: number } | undefined
  idempotency_key?: string | undefined
  run_id: string
  turn_id: string
}

/** What a command says beside the turn it is on. */
type Rest =
  | Pick<input.StageTurn, 'proposal' | 'type'>
  | Pick<input.ValidateTurn, 'manifest_digest' | 'type'>
  | Pick<input.PromoteTurn, 'manifest_digest' | 'require_staged' | 'type'>
  | Pick<input.RejectTurn, 'reason' | 'type'>

/** The writer has stopped: what is left has its notes. */
function leftToTheNextOpen(): void {}

function failed(turn_id: string, issues: readonly Issue[]): LockstepError {
  const code = firstCode(issues) ?? 'E_PROMOTION_NOT_VALIDATED'
  const [first] = issues.filter((issue) => issue.code === code)
  return new LockstepError(code, `${turn_id} failed its validation: ${first?.message ?? code}`, {
    details: { issues, turn_id },
  })
}
