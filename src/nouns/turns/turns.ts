import type { z } from 'zod'
import type * as shapes from '../../api/shapes/turns.ts'
import type { TurnsApi } from '../../api/turns.ts'
import type * as commands from '../../domain/turn/commands.ts'
import type { Issue } from '../../domain/turn/issue.ts'
import { firstCode } from '../../domain/turn/issue-list.ts'
import { LockstepError } from '../../errors.ts'
import type { Json } from '../../kernel/canonical.ts'
import type { Actor } from '../../kernel/ids.ts'
import { after } from '../../kernel/maybe.ts'
import { type Core, submit } from '../../writer/core.ts'
import type { Stored } from '../../writer/stored-objects.ts'
import type { Outcome } from '../../writer/submission.ts'
import type { PolicyOfLedger } from '../policy/policy.ts'
import { refuseExpired } from '../runs/run-outcomes.ts'
import type { Handlers } from '../served.ts'
import { readProposal, type ToStage } from './proposing.ts'
import { promotedOf, stagedOf, turnOf, turnsOf, verdictOf } from './turn-answers.ts'
import { whole } from './uploaded.ts'
import { warm } from './warming.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>

/** Atomic, ordered publishing of JSON state. */
export class Turns implements Handlers<TurnsApi> {
  readonly #core: Core
  readonly #policy: PolicyOfLedger

  constructor(core: Core, policy: PolicyOfLedger) {
    this.#core = core
    this.#policy = policy
  }

  async stage(asked: Given<typeof shapes.stage>): Promise<shapes.StagedTurn> {
    return this.#stage(asked, await readProposal(this.#core, await whole(this.#core, asked)))
  }

  async validate(asked: Given<typeof shapes.validate>): Promise<shapes.TurnVerdict> {
    return verdictOf(this.#core, await this.#ask({ ...asked, type: 'turn.validate' }))
  }

  async promote(asked: Given<typeof shapes.promote>): Promise<shapes.PromotedTurn> {
    const outcome = await this.#ask({ ...asked, type: 'turn.promote' })
    return promotedOf(this.#core, outcome)
  }

  async apply({ decision_id, require_staged, ...asked }: Given<typeof shapes.apply>): Promise<shapes.PromotedTurn> {
    const { actor, guard, idempotency_key: key, run_id, turn_id } = asked
    const keyOf = (step: string) => key && `${key}#${step}`
    const { manifest_digest } = await this.#stage(
      { ...asked, idempotency_key: keyOf('stage') },
      await readProposal(this.#core, await whole(this.#core, asked)),
    )
    const ofTurn = { actor, guard, manifest_digest, run_id, turn_id }
    const { issues, outcome } = await this.#verdict(ofTurn, (attempt) => keyOf(`validate${attempt}`))
    if (outcome === 'FAIL') throw failed(turn_id, issues)
    return this.promote({ ...ofTurn, decision_id, require_staged, idempotency_key: keyOf('promote') })
  }

  async reject(asked: Given<typeof shapes.reject>): Promise<shapes.TurnState> {
    await this.#ask({ ...asked, type: 'turn.reject' })
    return turnOf(this.#core, asked)
  }

  async get(asked: Given<typeof shapes.ofTurn>): Promise<shapes.TurnState> {
    return turnOf(this.#core, asked)
  }

  async list(asked: Given<typeof shapes.list>): Promise<shapes.TurnList> {
    return turnsOf(this.#core, asked)
  }

  /**
   * Only a PASS verdict may be replayed. After a FAIL the validation runs again, because refusals are always decided
   * anew.
   */
  async #verdict(
    ofTurn: Given<typeof shapes.validate>,
    keyOf: (attempt: number) => string | undefined,
  ): Promise<shapes.TurnVerdict> {
    for (let attempt = 1; ; attempt += 1) {
      const verdict = await this.validate({ ...ofTurn, idempotency_key: keyOf(attempt) })
      if (verdict.outcome === 'PASS' || !verdict.replayed) return verdict
    }
  }

  async #stage(asked: AskedOfTurn, { proposal, keep, objects }: ToStage): Promise<shapes.StagedTurn> {
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
    const outcome = await after(this.#policy.known(run_id), (policies) =>
      submit(this.#core, { ...rest, guard, policies, run_id, turn_id } as commands.TurnCommand, {
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
  | Pick<commands.StageTurn, 'proposal' | 'type'>
  | Pick<commands.ValidateTurn, 'manifest_digest' | 'type'>
  | Pick<commands.PromoteTurn, 'decision_id' | 'manifest_digest' | 'require_staged' | 'type'>
  | Pick<commands.RejectTurn, 'reason' | 'type'>

/** The writer has stopped. The notes of the remaining objects stay, and the next open drops the objects. */
function leftToTheNextOpen(): void {}

function failed(turn_id: string, issues: readonly Issue[]): LockstepError {
  const code = firstCode(issues) ?? 'E_PROMOTION_NOT_VALIDATED'
  const [first] = issues.filter((issue) => issue.code === code)
  return new LockstepError(code, `${turn_id} failed its validation: ${first?.message ?? code}`, {
    details: { issues, turn_id },
  })
}
