import type { z } from 'zod'
import * as input from '../../domain/turn/commands.ts'
import type { Issue } from '../../domain/turn/issue.ts'
import { firstCode } from '../../domain/turn/issue-list.ts'
import { LockstepError } from '../../errors.ts'
import type { Json } from '../../kernel/canonical.ts'
import type { Actor } from '../../kernel/ids.ts'
import { after } from '../../kernel/maybe.ts'
import { type Core, submit } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import type { Stored } from '../../writer/stored-objects.ts'
import type { Outcome } from '../../writer/submission.ts'
import type { PolicyApi } from '../policy/policy.ts'
import { refuseExpired } from '../runs/runs.ts'
import { readProposal, type ToStage } from './proposing.ts'
import {
  type Promoted,
  promotedOf,
  type Staged,
  stagedOf,
  type TurnListing,
  type TurnStatus,
  type TurnVerdict,
  turnOf,
  turnsOf,
  verdictOf,
} from './turn-answers.ts'
import { warm } from './warming.ts'

/**
 * `ledger.turns`: atomic, ordered publishing of JSON state. A turn belongs to a running run. Each turn is staged,
 * validated and promoted, and turns are promoted strictly in order. Every call takes an optional `actor`, `guard` and
 * `idempotency_key` and rejects with a LockstepError. Any call may reject with INVALID_INPUT, NOT_FOUND,
 * NOT_RUN_ACTOR, RUN_LEASE_EXPIRED, RUN_NOT_ACTIVE, STALE_TOKEN, LEASE_EXPIRED, E_PROMOTION_FAILED (malformed
 * turn_id), E_PROMOTION_ALREADY_APPLIED, E_PROMOTION_OUT_OF_ORDER or IDEMPOTENCY_MISMATCH. A refusal carries its
 * `issues` in the details.
 */
export class Turns {
  readonly #core: Core
  readonly #policy: PolicyApi

  constructor(core: Core, policy: PolicyApi) {
    this.#core = core
    this.#policy = policy
  }

  /**
   * Stages a proposal and replaces an earlier one. Sovereign state does not change. Errors: E_STEM_INVALID,
   * E_STEM_COLLISION, E_JSON_INVALID, E_TRIPLET_INCOMPLETE, E_DTO_LINKS_WRONG_CONTAINER_SHAPE, E_TOMBSTONE_INVALID,
   * LIMIT_EXCEEDED. Cost: writes of 256 KiB for its objects, and one append.
   */
  async stage(request: z.input<typeof input.stageSchema>): Promise<Staged> {
    const asked = parse(input.stageSchema, request, 'turn')
    return this.#stage(asked, await readProposal(this.#core, asked))
  }

  /**
   * Validates the staged proposal and records the verdict. Errors: E_PROMOTION_STAGE_MISSING,
   * E_PROMOTION_NOT_VALIDATED. Cost: one append.
   */
  async validate(request: z.input<typeof input.validateSchema>): Promise<TurnVerdict> {
    const asked = parse(input.validateSchema, request, 'turn')
    return verdictOf(this.#core, await this.#ask({ ...asked, type: 'turn.validate' }))
  }

  /**
   * Makes the validated proposal sovereign state, atomically. Errors, in the order of the checks: GUARD_REQUIRED,
   * E_PROMOTION_NOT_VALIDATED, E_PROMOTION_STAGE_MISSING, E_TOMBSTONE_INVALID, E_DELETE_MISSING_TOMBSTONE,
   * E_PROMOTION_CONFLICT, E_STEM_COLLISION, E_LSI_DUPLICATE_IDENTITY, E_LSI_ORPHAN_TARGET. Each of these refusals is
   * recorded. Cost: one append, with one or two rows per stem and ref of the turn.
   */
  async promote(request: z.input<typeof input.promoteSchema>): Promise<Promoted> {
    const asked = parse(input.promoteSchema, request, 'turn')
    const outcome = await this.#ask({ ...asked, type: 'turn.promote' })
    return promotedOf(this.#core, outcome)
  }

  /**
   * Stages, validates and promotes, each step under the guard. Errors: those of all three steps. If validation fails,
   * the error is the first code of its issues.
   */
  async apply(request: z.input<typeof input.applySchema>): Promise<Promoted> {
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

  /**
   * Discards the staged proposal; the turn may be staged again. Errors: E_PROMOTION_STAGE_MISSING. Cost: one append.
   */
  async reject(request: z.input<typeof input.rejectSchema>): Promise<TurnStatus> {
    const asked = parse(input.rejectSchema, request, 'turn')
    await this.#ask({ ...asked, type: 'turn.reject' })
    return turnOf(this.#core, asked)
  }

  /**
   * The present state of a turn. Errors: NOT_FOUND (the turn has no events), INVALID_INPUT. Cost: one read per later
   * promoted turn.
   */
  async get(request: z.input<typeof input.ofTurnSchema>): Promise<TurnStatus> {
    return turnOf(this.#core, parse(input.ofTurnSchema, request, 'turn'))
  }

  /**
   * The last `limit` turns of a run (10,000 at most), in order, with the turn in progress at the end. `next` is the
   * cursor for earlier turns. Errors: NOT_FOUND, INVALID_INPUT (a cursor that did not come from this list). Cost: one
   * read per turn.
   */
  async list(request: z.input<typeof input.listTurnsSchema>): Promise<TurnListing> {
    return turnsOf(this.#core, parse(input.listTurnsSchema, request, 'turns'))
  }

  /**
   * Only a PASS verdict may be replayed. After a FAIL the validation runs again, because refusals are always decided
   * anew.
   */
  async #verdict(
    ofTurn: z.input<typeof input.validateSchema>,
    keyOf: (attempt: number) => string | undefined,
  ): Promise<TurnVerdict> {
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
      // A replay was answered by earlier entries, which already name their objects.
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
    const outcome = await after(this.#policy.known(), (policies) =>
      submit(this.#core, { ...rest, guard, policies, run_id, turn_id } as input.TurnCommand, {
        actor,
        notes: stored?.notes,
        request: key === undefined ? undefined : { key, content },
      }),
    )
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

/** The members of a command besides its turn. */
type Rest =
  | Pick<input.StageTurn, 'proposal' | 'type'>
  | Pick<input.ValidateTurn, 'manifest_digest' | 'type'>
  | Pick<input.PromoteTurn, 'manifest_digest' | 'require_staged' | 'type'>
  | Pick<input.RejectTurn, 'reason' | 'type'>

/** The writer has stopped. The notes of the remaining objects stay, and the next open drops the objects. */
function leftToTheNextOpen(): void {}

function failed(turn_id: string, issues: readonly Issue[]): LockstepError {
  const code = firstCode(issues) ?? 'E_PROMOTION_NOT_VALIDATED'
  const [first] = issues.filter((issue) => issue.code === code)
  return new LockstepError(code, `${turn_id} failed its validation: ${first?.message ?? code}`, {
    details: { issues, turn_id },
  })
}
