import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import { unpinned } from '../../kernel/vocabulary.ts'
import type { Action } from './action.ts'
import {
  checkAction,
  checkLane,
  checkMediation,
  checkRole,
  checkRun,
  checkScope,
  type DenyReason,
  type Failed,
  grantOf,
  type RunFacts,
} from './checks.ts'
import { isPin } from './content.ts'
import { checkEffects, checkInputs, checkOutputs } from './effects.ts'
import type { Lane, Policy } from './policy.ts'
import { checkProgram, programRule } from './programs.ts'

/**
 * The verdict on a run or an action. A deny has the reason of the first failed check, the rules of all failed checks in
 * order, and the missing facts. An allow has the rules that grant the action.
 */
export interface PolicyVerdict {
  decision: 'allow' | 'deny'
  reason: DenyReason | null
  rule_ids: readonly string[]
  missing: readonly string[]
  pins: { lanes: string; roles: string }
}

/** An action in a run. `policy` is the one in force; undefined if no policy could be loaded. */
interface Question {
  action: Action
  /** The policy that the run is pinned to, if it is another one. */
  pinned?: Policy | undefined
  policy: Policy | undefined
  run: RunFacts
}

/**
 * Whether a running run may do an action, by the policy that it is pinned to, which must be in force. It makes seven
 * checks, in the order of Run Lifecycle, Contract v1, section 5.1. It never throws: an internal error gives a deny.
 */
export function authorize(question: Question): PolicyVerdict {
  return decide(question.run, () => {
    const { action, policy, pinned = policy } = question
    const lane = pinned?.lanes.get(action.lane_id)
    return { failed: [...checksOf(question)], granted: lane === undefined ? [] : grantsOf(lane, action) }
  })
}

/** The rules that grant an action: the list that names its target, and the program that its tool is bound to. */
function grantsOf(lane: Lane, action: Action): string[] {
  const bound = programRule(lane, action)
  return [grantOf(lane, action), ...(bound === undefined ? [] : [bound])]
}

/** Checks that need no policy, or no lane, run even if it is missing. */
function* checksOf({ action, policy: inForce, pinned: policy = inForce, run }: Question): Generator<Failed> {
  yield* checkRun(run, inForce, 'running')
  if (policy !== undefined) {
    yield* checkRole(run, policy)
    yield* checkLane(run, action.lane_id, policy)
  }
  yield* checkMediation(run, action)
  const lane = policy?.lanes.get(action.lane_id)
  if (lane === undefined) return
  yield* checkAction(lane, action)
  yield* checkProgram(lane, action)
  yield* checkScope(run, lane, action)
  yield* checkEffects(run, lane, action)
}

/**
 * Whether a created run may start: checks 1 to 3, and whether the run has a case if its lane requires one. An
 * orchestrator needs no lane, and its role is checked only if it names one. It never throws either.
 */
export function authorizeStart({ policy, run }: { policy: Policy | undefined; run: RunFacts }): PolicyVerdict {
  return decide(run, () => ({ failed: [...checksOfStart(run, policy)], granted: [] }))
}

function* checksOfStart(run: RunFacts, policy: Policy | undefined): Generator<Failed> {
  yield* checkRun(run, policy, 'created')
  yield* checkInputs(run, policy?.lanes.get(run.lane_id ?? ''))
  const isOrchestrator = run.run_kind === 'orchestrator'
  if (policy !== undefined && !(isOrchestrator && run.role_id === null)) yield* checkRole(run, policy)
  if (policy === undefined || isOrchestrator) return
  yield* checkLane(run, run.lane_id, policy)
  const lane = policy.lanes.get(run.lane_id ?? '')
  if (lane?.scope.requires.includes('case_id') && run.case_id === null) {
    yield { reason: 'missing_scope', rule: `lane:${lane.lane_id}/requires/case_id`, missing: 'case_id' }
  }
}

/** Whether a run may be created with its inputs. `lane` is its lane in the policy that judges it. It never throws. */
export function authorizeInputs(run: RunFacts, lane: Lane | undefined): PolicyVerdict {
  return decide(run, () => ({ failed: [...checkInputs(run, lane)], granted: [] }))
}

/** Whether artifacts may be recorded as outputs of an action; without an action, of the run. It never throws. */
export function authorizeOutputs(
  run: RunFacts,
  lane: Lane | undefined,
  { action, outputs }: { action?: Pick<Action, 'action_type' | 'target'> | undefined; outputs: readonly ArtifactRef[] },
): PolicyVerdict {
  return decide(run, () => ({ failed: [...checkOutputs(run, lane, outputs, action)], granted: [] }))
}

/** The verdict of the checks, or a deny if a check throws. */
function decide(run: RunFacts, judge: () => { failed: Failed[]; granted: string[] }): PolicyVerdict {
  let pins = { lanes: unpinned, roles: unpinned }
  try {
    const { lanes, roles } = run.policy_versions
    pins = { lanes: pinOf(lanes), roles: pinOf(roles) }
    const { failed, granted } = judge()
    const [first] = failed
    if (first === undefined) return { decision: 'allow', reason: null, rule_ids: granted, missing: [], pins }
    const rule_ids = failed.map(({ rule }) => rule)
    const missing = [...new Set(failed.flatMap((check) => check.missing ?? []))]
    return { decision: 'deny', reason: first.reason, rule_ids, missing, pins }
  } catch {
    return { decision: 'deny', reason: 'error', rule_ids: ['evaluator_failed'], missing: [], pins }
  }
}

/** The recorded form of a pin. A missing or malformed pin is `UNPINNED`. */
function pinOf(pin: string | null): string {
  return isPin(pin) ? pin.toLowerCase() : unpinned
}
