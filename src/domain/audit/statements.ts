import { isOperator, mayClaim } from '../../kernel/config.ts'
import type { Context } from '../../kernel/decider.ts'
import { visible } from '../../kernel/visible.ts'
import type { RunState } from '../run/state.ts'
import type { AuditCommand } from './commands.ts'

type Statement = AuditCommand['events'][number]

/** Why a statement is refused. */
export interface RefusedStatement {
  code: 'OVERRIDE_DENIED' | 'STATEMENT_DENIED'
  message: string
}

/** Things whose events the ledger itself records. A caller names a run by `run_id`, and a lock in a guard. */
const ownTargets: readonly string[] = ['lock', 'policy', 'run', 'turn']

/** The first words of the operations that the ledger renders, such as `run.complete`, and of its events. */
const ownWords =
  /^(?:approval|audit|authz|clock|config|erasure|export|key|ledger|lock|object|policy|refusals|retention|run|seat|stage|staging|text|token|turn|workflow|workspace)[.:/]/

/**
 * The problem with a statement that could be mistaken for an event of the ledger; undefined if there is none. An
 * override needs the release authority or an operator (OVERRIDE_DENIED). STATEMENT_DENIED: an outcome, target or
 * operation that only the ledger records, shared knowledge outside a run, or a role that the configuration does not
 * give the actor.
 */
export function refusedStatement(event: Statement, { actor, config }: Context): RefusedStatement | undefined {
  const { action_type, outcome, output_artifacts = [], role_id, run_id, target } = event
  if (action_type === 'override' && !isOperator(config, actor.actor_id)) {
    const message = `${actor.actor_id} may not record an override: only ${config.release_authority} or an operator may`
    return { code: 'OVERRIDE_DENIED', message }
  }
  const operation = visible(target?.operation ?? '').toLowerCase()
  if (outcome === 'allow' || outcome === 'deny') {
    return denied(`the outcome ${outcome} is a decision, which only the ledger records`)
  }
  if (target !== undefined && ownTargets.includes(target.target_type)) {
    return denied(`only the ledger records events on a target of type ${target.target_type}`)
  }
  if (ownWords.test(operation)) return denied('the operation of the target is one that only the ledger records')
  if (run_id === undefined && output_artifacts.some(({ scope }) => scope === 'shared')) {
    return denied('only a write of a run puts out shared knowledge')
  }
  if (role_id !== undefined && !mayClaim(config, actor.actor_id, role_id)) {
    return denied(`the configuration does not give ${actor.actor_id} the stated role`)
  }
  return undefined
}

/**
 * The problem with a statement in a run: it names another case, lane or role than the run has, or an artifact of
 * another case, and the lane of the run does not allow that.
 */
export function strangeToRun(event: Statement, run: RunState, mayCross: boolean): RefusedStatement | undefined {
  const own = { case_id: run.case_id, lane_id: run.lane_id, role_id: run.manifest.actor.role_id ?? null }
  for (const member of ['case_id', 'lane_id', 'role_id'] as const) {
    const stated = event[member]
    if (stated !== undefined && stated !== own[member]) return denied(`the ${member} is not that of ${run.run_id}`)
  }
  const refs = [...(event.input_artifacts ?? []), ...(event.output_artifacts ?? [])]
  const isOther = refs.some(({ case_id }) => typeof case_id === 'string' && case_id !== run.case_id)
  return isOther && !mayCross ? denied(`an artifact belongs to another case than ${run.run_id}`) : undefined
}

function denied(message: string): RefusedStatement {
  return { code: 'STATEMENT_DENIED', message }
}
