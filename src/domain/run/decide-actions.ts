import { cut } from '../../kernel/canonical.ts'
import { type Decision, refuse } from '../../kernel/decider.ts'
import { given } from '../../kernel/given.ts'
import { limits } from '../../kernel/limits.ts'
import { usedEvents } from '../approval/judge.ts'
import type { Action } from '../policy/action.ts'
import { sharesKnowledge } from '../policy/effects.ts'
import { keepsText, type Lane } from '../policy/policy.ts'
import { stoppedAbove } from './above.ts'
import { refuseUnrecorded } from './bundles.ts'
import {
  append,
  durationMillis,
  laneOf,
  lostLock,
  notActive,
  notOfRole,
  type RunCase,
  refused,
  unrecordedEvents,
} from './case.ts'
import type { AuthorizeAction, RecordAction } from './commands.ts'
import { type AskedFor, decidedEvent, deniedEvent } from './decided.ts'
import { verdictOn } from './facts.ts'
import { hasFreeText, refuseText, textsIn, unfitIn } from './free-text.ts'
import { deniedOutputs, refusedOutputs, refuseUnnamed } from './outputs.ts'
import { refuseUnshared } from './promotions.ts'
import type { OpenAction } from './state.ts'

/**
 * An allow appends the decision, after the uses of the approvals that it needed. A deny appends the decision and the
 * run's move to denied together. Free text that the lane prohibits is a deny. Refusals, in order: RUN_NOT_ACTIVE and
 * RUN_ANCESTOR_ENDED (recorded as a deny without a move), LIMIT_EXCEEDED (too many allowed actions are not recorded yet).
 */
export function decideAuthorize(command: AuthorizeAction, of: RunCase): Decision {
  const { context, inForce, policy: pinned, rows, run } = of
  const ended = notActive(of, command.type) ?? stoppedAbove(of, command.type)
  if (ended !== undefined) return ended
  if (run.open.length >= limits.runOpenActionsMax) {
    const message = `${run.open.length} allowed actions of ${run.run_id} are not recorded yet`
    return refuse('LIMIT_EXCEEDED', message, { run_id: run.run_id })
  }
  const { action } = command
  const { actor: caller, config, time } = context
  const verdict = verdictOn(action, { caller, config, pinned, policy: inForce.policy, rows, run, time })
  // Free text that the lane prohibits is not recorded, not even with the deny.
  const asked = hasFreeText(action, laneOf(of)) ? withoutText(action) : askedFor(action, laneOf(of))
  const decided = decidedEvent(run.run_id, asked, verdict)
  if (verdict.decision === 'allow') return append(of, [...usedEvents(action, run.run_id), decided])
  return append(of, [decided, ...unrecordedEvents(run), deniedEvent(run.run_id, durationMillis(of), verdict)])
}

/**
 * Records the one action event of an allow. Refusals, in order: NOT_RUN_ACTOR (the configuration keeps the role of the
 * run from the caller; recorded), RUN_NOT_ACTIVE (recorded), STALE_TOKEN and LEASE_EXPIRED (the run's lock),
 * DECISION_NOT_OPEN, BUNDLE_NOT_RECORDED and OUTPUTS_DENIED (recorded), LIMIT_EXCEEDED, INVALID_INPUT (a write to shared
 * knowledge without output artifacts; recorded), FREE_TEXT_DENIED, PROMOTION_NOT_RECORDED (recorded), OUTPUTS_DENIED (a
 * write to shared knowledge with an artifact that the allow does not name). Prohibited outputs deny the run instead.
 */
export function decideRecord(command: RecordAction, of: RunCase): Decision {
  const { run } = of
  const ended = notOfRole(of, command.type) ?? notActive(of, command.type)
  if (ended !== undefined) return ended
  const lost = lostLock(of, command.type)
  if (lost !== undefined) return lost
  const allowed = run.open.find(({ decision_id }) => decision_id === command.decision_id)
  if (allowed === undefined || !isSameAction(allowed, command)) {
    // The message is recorded, and a caller could put any text into the decision_id.
    const message = `${run.run_id} has no open decision of that decision_id for this action`
    const facts = { decision_id: command.decision_id }
    return refused(of, { code: 'DECISION_NOT_OPEN', command: command.type, facts, message })
  }
  const unrecorded = refuseUnrecorded(of, command)
  if (unrecorded !== undefined) return unrecorded
  const { error, outcome, outcome_reason, output_artifacts = [] } = command
  if (outcome === 'failure' && output_artifacts.length > 0 && !laneOf(of)?.allowed_actions.partial_outputs) {
    return refusedOutputs(of, command.type)
  }
  if (run.outputs.length + output_artifacts.length > limits.runOutputsMax) {
    return refuse('LIMIT_EXCEEDED', `a run can output at most ${limits.runOutputsMax} artifacts`, {
      run_id: run.run_id,
    })
  }
  if (outcome === 'success' && output_artifacts.length === 0 && sharesKnowledge(allowed)) {
    const message = `${allowed.target.name} holds shared knowledge: output_artifacts must name what was written to it`
    const facts = { decision_id: allowed.decision_id }
    return refused(of, { code: 'INVALID_INPUT', command: command.type, facts, message })
  }
  const texts = [outcome_reason, error?.message, ...unfitIn([error?.error_code]), ...textsIn(output_artifacts)]
  const text = refuseText(of, texts, command.type)
  if (text !== undefined) return text
  const denied = deniedOutputs(of, output_artifacts, { action: allowed, command: command.type })
  if (denied !== undefined) return denied
  const unshared = refuseUnshared(of, output_artifacts, { action: allowed, command: command.type })
  if (unshared !== undefined) return unshared
  const unnamed = refuseUnnamed(of, output_artifacts, allowed)
  if (unnamed !== undefined) return unnamed
  const { action_type, bundle_record: record, policies, run_id, target, type, ...rest } = command
  if (record === undefined) {
    const shares = (outcome === 'success' && sharesKnowledge(allowed)) || undefined
    return append(of, [{ type: 'run.acted', data: { ...rest, ...allowed, run_id, ...given({ shares }) } }])
  }
  const data = { ...rest, ...allowed, record_digest: record.digest, run_id }
  return { ...append(of, [{ type: 'run.acted', data }]), objects: new Map([[record.digest, record.text]]) }
}

/** Checks that the action stated by the caller, if any, is the allowed action. */
function isSameAction(allowed: OpenAction, { action_type, target }: RecordAction): boolean {
  if (action_type !== undefined && action_type !== allowed.action_type) return false
  if (target === undefined) return true
  const { name, operation } = targetOf({ action_type: allowed.action_type, target })
  return name === allowed.target.name && operation === allowed.target.operation
}

function askedFor(action: Action, lane: Lane | undefined): AskedFor {
  const { action_type, artifacts, bundle, effects, scope } = action
  return {
    ...given({ artifacts, bundle, command: commandOf(action, lane), effects }),
    on: action_type,
    scope: Object.keys(scope)
      .sort()
      .map((key) => ({ key, value: String(scope[key]) })),
    target: targetOf(action),
  }
}

/** What is recorded of the command of an action: its digest, and its words if the lane keeps such texts. */
function commandOf({ command }: Action, lane: Lane | undefined): AskedFor['command'] {
  if (command?.argv_sha256 === undefined) return undefined
  const { argv, argv_sha256, program } = command
  if (!keepsText(lane)) return { argv_sha256 }
  return { ...given({ argv: argv && JSON.stringify(argv) }), argv_sha256, ...program }
}

/** What is recorded of an action with prohibited free text: its type, and its target if that is an identifier. */
function withoutText({ action_type, target }: Action): AskedFor {
  const isFit = unfitIn([target.name, target.mode]).length === 0
  return { on: action_type, target: targetOf({ action_type, target: isFit ? target : { name: 'withheld' } }) }
}

const targetTypes = {
  tool_call: 'tool',
  db_write: 'table',
  db_read: 'table',
  promotion: 'table',
  export: 'export_bundle',
} as const

/** The target of an action in audit events. Names of tools and tables are ASCII and fit, so only other names are cut. */
function targetOf({ action_type, target }: Pick<Action, 'action_type' | 'target'>): AskedFor['target'] {
  const isAscii = /^[ -~]*$/.test(target.name)
  const name = cut(target.name, isAscii ? limits.lockNameBytes : nameCharsMax).trim()
  return { name, operation: target.mode ?? action_type, target_type: targetTypes[action_type] }
}

/** A code unit takes at most three bytes, so the text fits into the target of an audit event. */
const nameCharsMax = Math.floor(limits.lockNameBytes / 3)
