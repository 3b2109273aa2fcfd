import { isOperator } from '../../kernel/config.ts'
import { type Decision, type Refusal, refuse } from '../../kernel/decider.ts'
import type { EventDraft, RunOfEvent } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import { authorizeInputs, type PolicyVerdict } from '../policy/authorize.ts'
import type { Lane } from '../policy/policy.ts'
import { stoppedAbove, stoppedBelow } from './above.ts'
import {
  ancestorsOf,
  caseAt,
  eventsOf,
  type Ground,
  notRunActor,
  type RunCase,
  type RunDraft,
  refused,
  refusedMove,
} from './case.ts'
import type { CreateRun, RetryRun } from './commands.ts'
import { decidedEvent, deniedEvent } from './decided.ts'
import type { RunEventData } from './events.ts'
import { factsOfNew, withMore } from './facts.ts'
import { freeTextIn, freeTextRule, refuseFreeText, refuseText, textsIn, unfitIn } from './free-text.ts'
import { retriedEvent, retriedIn } from './retries.ts'
import { type RunState, versionsOf } from './state.ts'
import { claimOf, isWorkflowOfAnother } from './workflows.ts'

/**
 * Refusals, in order: NOT_RUN_ACTOR or INVALID_STATE_TRANSITION (the run_id is taken), NOT_FOUND (the parent does not
 * exist), NOT_RUN_ACTOR (for the parent), RUN_ANCESTOR_ENDED (the parent or a run above it has ended), LIMIT_EXCEEDED
 * (too deep), FREE_TEXT_DENIED (the run_id, or a name of its caller or actor, is free text). Other free text that the lane prohibits denies the new run.
 * A child that states other versions than it inherits, a run with prohibited inputs, and a run in a workflow of another
 * case is created, decided and denied in one append. The first run of a workflow claims it.
 */
export function decideCreate(command: CreateRun, ground: Ground): Decision {
  const taken = caseAt(command.run_id, ground)
  if (taken !== undefined) {
    return notRunActor(taken, command.type) ?? refusedMove(taken, command.type, 'created', 'the run already exists')
  }
  const { parent_run_id = null } = command
  const parent = parent_run_id === null ? undefined : caseAt(parent_run_id, ground)
  if (parent_run_id !== null && parent === undefined) {
    return refuse('NOT_FOUND', `the parent run ${parent_run_id} does not exist`, { run_id: parent_run_id })
  }
  if (parent !== undefined) {
    const refusal = notRunActor(parent, command.type) ?? stoppedBelow(parent, command.type) ?? refuseDepth(parent)
    if (refusal !== undefined) return refusal
  }
  const { policy } = parent ?? ground.inForce
  const lane = policy?.lanes.get(command.lane_id ?? '')
  const { actor, config, stated = [] } = ground.context
  const callers = [actor, command.run_actor].filter(({ actor_id }) => !isOperator(config, actor_id))
  const named = [actor, command.run_actor].flatMap(({ on_behalf_of, role_id }) => [on_behalf_of, role_id])
  // The entries of the new run would repeat these, even if it was denied.
  const repeated = unfitIn([...stated, ...named, ...callers.map(({ actor_id }) => actor_id)])
  if (freeTextIn(lane, repeated) !== undefined) return refuseFreeText(command.lane_id ?? null)
  if (freeTextIn(lane, textsOf(command)) !== undefined) return deniedText(command, lane, parent?.run)
  const of = {
    case_id: command.case_id ?? parent?.run.case_id ?? null,
    correlation_id: command.correlation_id ?? parent?.run.correlation_id ?? null,
    lane_id: command.lane_id ?? null,
    parent_run_id,
    policy_versions: versionsOf(parent?.run.pins ?? null),
    role_id: command.role_id ?? command.run_actor.role_id,
    root_run_id: parent?.run.root_run_id ?? command.run_id,
    run_id: command.run_id,
  }
  const facts = factsOfNew(command, of, parent?.run.pins ?? null)
  const { workflow_id } = command
  const workflow = isWorkflowOfAnother(ground.rows, { ...of, workflow_id }) ? [`workflow:${workflow_id}/case`] : []
  const verdict = withMore(
    withMore(authorizeInputs(facts, lane), workflow, 'forbidden'),
    broughtOthers(command, parent?.run, of),
  )
  const claim =
    verdict.decision === 'deny' ? [] : claimOf(ground.rows, { case_id: of.case_id, run_id: of.run_id, workflow_id })
  return created(of, createdData(command, parent?.run), verdict, claim)
}

/** All free text in the input for a new run: texts, and names that are not identifiers. */
function textsOf(command: CreateRun): (string | null | undefined)[] {
  const { client_session_id, correlation_id, data_classification, inputs, nondeterminism, notes } = command
  const { case_id, matter_id, role_id, run_id, run_name, tags, tool_versions, workflow_id, workflow_state } = command
  const versions = (tool_versions ?? []).flatMap(({ key, value }) => [key, value])
  return [
    notes,
    data_classification?.notes,
    ...(nondeterminism?.reasons ?? []),
    ...unfitIn([run_id, case_id, correlation_id, matter_id, client_session_id, role_id, workflow_id, workflow_state]),
    ...unfitIn([run_name, ...(tags ?? []), ...versions]),
    ...textsIn(inputs?.artifact_refs),
  ]
}

/** Creates a run without what its caller states about it, and denies it. The text is not recorded. */
function deniedText(
  { lane_id, parent_run_id, run_actor, run_id, run_kind }: CreateRun,
  lane: Lane | undefined,
  parent?: RunState,
): Decision {
  if (unfitIn([run_id]).length > 0) return refuseFreeText(lane_id ?? null)
  const versions = versionsOf(parent?.pins ?? null)
  const of = {
    case_id: parent?.case_id ?? null,
    correlation_id: parent?.correlation_id ?? null,
    lane_id: lane_id ?? null,
    parent_run_id: parent_run_id ?? null,
    policy_versions: versions,
    root_run_id: parent?.root_run_id ?? run_id,
    run_id,
  }
  const rule_ids = [freeTextRule(lane)]
  const verdict: PolicyVerdict = { decision: 'deny', reason: 'forbidden', rule_ids, missing: [], pins: versions }
  return created(of, { actor: run_actor, pins: parent?.pins ?? null, run_id, run_kind }, verdict, [])
}

/** The depth of a tree is limited. */
function refuseDepth({ rows, run }: RunCase): Refusal | undefined {
  if ([...ancestorsOf(run, rows)].length + 2 <= limits.runDepthMax) return undefined
  return refuse('LIMIT_EXCEEDED', `a tree of runs is at most ${limits.runDepthMax} deep`, { run_id: run.run_id })
}

type CreatedData = RunEventData<'run.created'>

function createdData(command: CreateRun, parent: RunState | undefined): CreatedData {
  const { policies, type, run_actor, role_id, case_id, correlation_id, lane_id, parent_run_id, root_run_id, ...rest } =
    command
  const actor = role_id === undefined ? run_actor : { ...run_actor, role_id }
  return { ...rest, actor, pins: parent?.pins ?? null }
}

/** The versions of a child that differ from its parent's. A run without a parent is its own root. */
function broughtOthers(
  command: CreateRun,
  parent: RunState | undefined,
  of: Omit<RunOfEvent, 'previous'>,
): readonly string[] {
  const { case_id, correlation_id, root_run_id } = command
  const others: string[] = []
  if (case_id !== undefined && parent?.case_id && case_id !== parent.case_id) others.push('inherited/case_id')
  if (correlation_id !== undefined && parent?.correlation_id && correlation_id !== parent.correlation_id) {
    others.push('inherited/correlation_id')
  }
  if (root_run_id !== undefined && root_run_id !== of.root_run_id) others.push('inherited/root_run_id')
  return others
}

/** A run with prohibited inputs, or with other versions than it inherits, is created and denied in one append. */
function created(
  of: Omit<RunOfEvent, 'previous'>,
  data: CreatedData,
  verdict: PolicyVerdict,
  claim: readonly EventDraft[],
): Decision {
  const drafts: RunDraft[] = [{ type: 'run.created', data }]
  if (verdict.decision === 'deny') {
    const { run_id } = of
    const target = { name: run_id, operation: 'run.create', target_type: 'run' as const }
    drafts.push(decidedEvent(run_id, { on: 'start', target }, verdict), deniedEvent(run_id, null, verdict))
  }
  return { kind: 'append', events: [...claim, ...eventsOf(of, null, drafts)] }
}

/**
 * Creates a new run in place of a failed, retryable run, which does not change. The parent of the new run is the first
 * attempt, so the new run inherits its pins. Refusals, in order: RUN_NOT_RETRYABLE, RUN_ALREADY_RETRIED and
 * RUN_ANCESTOR_ENDED (recorded), INVALID_STATE_TRANSITION (the new run_id is taken), FREE_TEXT_DENIED.
 */
export function decideRetry(command: RetryRun, of: RunCase): Decision {
  const { run } = of
  if (run.status !== 'failed' || run.ended?.error?.retryable !== true) {
    const message = `${run.run_id} is ${run.status} and cannot be retried`
    const facts = { retryable: run.ended?.error?.retryable ?? false }
    return refused(of, { code: 'RUN_NOT_RETRYABLE', command: command.type, facts, message })
  }
  const retried_in = retriedIn(of.rows, run.run_id)
  if (retried_in !== undefined) {
    const message = `${run.run_id} was retried in ${retried_in}`
    return refused(of, { code: 'RUN_ALREADY_RETRIED', command: command.type, facts: { retried_in }, message })
  }
  const stopped = stoppedAbove(of, command.type)
  if (stopped !== undefined) return stopped
  const taken = caseAt(command.new_run_id, { ...of, policies: command.policies })
  if (taken !== undefined) {
    return notRunActor(taken, command.type) ?? refusedMove(taken, command.type, 'created', 'the run already exists')
  }
  const text = refuseText(of, [command.retry_reason, ...unfitIn([command.new_run_id])], command.type)
  if (text !== undefined) return text
  const { retry_count } = run.manifest.metadata ?? {}
  const first = retry_count ? run.parent_run_id : run.run_id
  const count = (retry_count ?? 0) + 1
  const metadata = { retry_count: count, retry_of: run.run_id, retry_reason: command.retry_reason }
  const data = { ...run.manifest, metadata, pins: run.pins, run_id: command.new_run_id }
  const { case_id, correlation_id, lane_id, root_run_id } = run
  const envelope = {
    case_id,
    correlation_id,
    lane_id,
    parent_run_id: first,
    policy_versions: versionsOf(run.pins),
    role_id: run.manifest.actor.role_id,
    root_run_id,
    run_id: command.new_run_id,
  }
  const retried = retriedEvent({ new_run_id: command.new_run_id, retry_count: count, run_id: run.run_id })
  const events = eventsOf(envelope, null, [{ type: 'run.created', data }])
  return { kind: 'append', events: [retried, ...events] }
}
