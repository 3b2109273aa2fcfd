import { invariant } from '../errors.ts'
import type { EventType } from './event-schemas.ts'

type ActionType =
  | 'authz_decision'
  | 'db_read'
  | 'db_write'
  | 'export'
  | 'override'
  | 'policy_change'
  | 'promotion'
  | 'system'
  | 'tool_call'
type Outcome = 'allow' | 'deny' | 'failure' | 'success'
type Severity = 'critical' | 'error' | 'info' | 'warn'
type TargetType = 'artifact' | 'export_bundle' | 'lock' | 'policy' | 'run' | 'system' | 'table' | 'tool' | 'turn'

/**
 * A value: fixed for the type, or read from a member of the entry's data. Values named in `cases` are replaced.
 * `otherwise` is used if the member is absent, and, with `cases`, for every other value.
 */
export type Source<Value extends string> =
  | Value
  | { from: string; cases?: Readonly<Record<string, Value>>; otherwise?: Value }

/** How entries of one type are rendered as Contract v1 audit events. */
export interface Rendering {
  action_type: Source<ActionType>
  outcome: Source<Outcome>
  severity: Source<Severity>
  /** The target and the command, or the member of the data that has them. */
  target: { target_type: TargetType; name: Source<string>; operation: Source<string> } | { from: string }
  /** Members of the data. The first member that is present is the reason, cut to its limit. */
  outcome_reason: readonly string[]
}

/** A row of a lock: a system event on the lock that the data names. */
function lockRow(
  operation: Source<string>,
  outcome: Source<Outcome>,
  severity: Source<Severity>,
  ...outcome_reason: string[]
): Rendering {
  const name = { from: 'name', otherwise: 'unknown' }
  return { action_type: 'system', outcome, severity, target: { target_type: 'lock', name, operation }, outcome_reason }
}

/** A row of a run: a system event on the run that the data names. */
function runRow(
  operation: Source<string>,
  outcome: Source<Outcome>,
  severity: Source<Severity>,
  ...outcome_reason: string[]
): Rendering {
  const target = { target_type: 'run' as const, name: { from: 'run_id' }, operation }
  return { action_type: 'system', outcome, severity, target, outcome_reason }
}

/** A row of a turn: a system event on the turn that the data names. */
function turnRow(
  operation: Source<string>,
  outcome: Source<Outcome>,
  severity: Source<Severity>,
  ...outcome_reason: string[]
): Rendering {
  const target = { target_type: 'turn' as const, name: { from: 'turn_id' }, operation }
  return { action_type: 'system', outcome, severity, target, outcome_reason }
}

/** The codes of refusals for lack of permission. */
const denials = { NOT_RUN_ACTOR: 'deny', RUN_NOT_ACTIVE: 'deny' } as const

/**
 * A row for every event type; `contract/v1/rendering.yaml` is generated from it. The end of a lock is rendered like the
 * end of a run: failed work is a failure. A refusal is a deny if permission was lacking, and a failure if the state did
 * not allow the command.
 */
export const renderings: Readonly<Record<EventType, Rendering>> = {
  'ledger.created': {
    action_type: 'system',
    outcome: 'success',
    severity: 'info',
    target: { target_type: 'system', name: { from: 'origin' }, operation: 'ledger.create' },
    outcome_reason: [],
  },
  'clock.reset': {
    action_type: 'override',
    outcome: 'success',
    severity: 'warn',
    target: { target_type: 'system', name: 'clock', operation: 'clock.reset' },
    outcome_reason: ['reason'],
  },
  'clock.refused': {
    action_type: 'override',
    outcome: 'deny',
    severity: 'warn',
    target: { target_type: 'system', name: 'clock', operation: { from: 'command' } },
    outcome_reason: ['code'],
  },
  'lock.acquired': lockRow('lock.acquire', 'success', 'info', 'lock_reason'),
  'lock.renewed': lockRow('lock.renew', 'success', 'info'),
  'lock.judged': lockRow('lock.judge', 'success', 'info'),
  'lock.released': lockRow(
    'lock.release',
    { from: 'outcome' },
    { from: 'outcome', cases: { failure: 'warn' }, otherwise: 'info' },
    'reason',
    'final_status',
  ),
  'lock.recovered': lockRow('lock.recover', 'success', 'warn', 'recovery_reason'),
  'lock.broken': lockRow('lock.break', 'success', 'warn', 'reason'),
  'lock.lost': lockRow('lock.report_file', 'failure', 'error', 'found'),
  'lock.conflict': lockRow('lock.report_file', 'failure', 'error', 'aside'),
  'lock.file_restored': lockRow('lock.report_file', 'success', 'warn', 'folder'),
  'lock.file_set_aside': lockRow('lock.report_file', 'success', 'warn', 'reason'),
  'lock.retired': lockRow('lock.retire', 'success', 'info', 'reason'),
  'lock.refused': lockRow(
    { from: 'command' },
    { from: 'code', cases: { RELEASE_DENIED: 'deny', WRITE_SCOPE_DENIED: 'deny' }, otherwise: 'failure' },
    'warn',
    'code',
  ),
  'audit.recorded': {
    action_type: { from: 'action_type' },
    outcome: { from: 'outcome' },
    severity: { from: 'severity', otherwise: 'info' },
    target: { from: 'target' },
    outcome_reason: ['outcome_reason'],
  },
  'policy.loaded': {
    action_type: 'policy_change',
    outcome: 'success',
    severity: 'info',
    target: { target_type: 'policy', name: 'policy', operation: 'policy.load' },
    outcome_reason: [],
  },
  'policy.refused': {
    action_type: 'policy_change',
    outcome: 'deny',
    severity: 'warn',
    target: { target_type: 'policy', name: 'policy', operation: { from: 'command' } },
    outcome_reason: ['code'],
  },
  'run.created': runRow('run.create', 'success', 'info'),
  'run.decided': {
    action_type: 'authz_decision',
    outcome: { from: 'decision' },
    severity: { from: 'decision', cases: { deny: 'warn' }, otherwise: 'info' },
    target: { from: 'target' },
    outcome_reason: ['reason'],
  },
  'run.started': runRow('run.start', 'success', 'info'),
  'run.renewed': runRow('run.heartbeat', 'success', 'info'),
  'run.acted': {
    action_type: { from: 'action_type' },
    outcome: { from: 'outcome' },
    severity: { from: 'outcome', cases: { failure: 'warn' }, otherwise: 'info' },
    target: { from: 'target' },
    outcome_reason: ['outcome_reason'],
  },
  'run.completed': runRow('run.complete', 'success', 'info', 'outcome_reason'),
  'run.failed': runRow('run.fail', 'failure', 'error', 'outcome_reason'),
  'run.denied': runRow('run.deny', 'deny', 'warn', 'outcome_reason'),
  'run.cancelled': runRow('run.cancel', 'failure', 'warn', 'outcome_reason'),
  'run.retried': runRow('run.retry', 'success', 'info'),
  'run.refused': {
    action_type: { from: 'code', cases: { RUN_NOT_ACTIVE: 'authz_decision' }, otherwise: 'system' },
    outcome: { from: 'code', cases: denials, otherwise: 'failure' },
    severity: 'warn',
    target: { target_type: 'run', name: { from: 'name' }, operation: { from: 'command' } },
    outcome_reason: ['code'],
  },
  'turn.staged': turnRow('turn.stage', 'success', 'info'),
  'turn.staging_rejected': turnRow('turn.stage', 'failure', 'warn', 'code'),
  'turn.validated': turnRow('turn.validate', 'success', 'info'),
  'turn.rejected': turnRow(
    { from: 'by', cases: { validation: 'turn.validate' }, otherwise: 'turn.reject' },
    'failure',
    'warn',
    'code',
    'reason',
  ),
  'turn.staging_cleaned': turnRow('turn.clean_staging', 'success', 'info', 'reason'),
  'turn.promoted': turnRow('turn.promote', 'success', 'info'),
  'turn.promotion_rejected': turnRow('turn.promote', 'failure', 'warn', 'code'),
}

/** The row of an event type. Every type has a row before it is written, so a missing row is a defect. */
export function renderingOf(type: string): Rendering {
  invariant(Object.hasOwn(renderings, type), `the event type ${type} has a rendering`)
  return renderings[type as EventType]
}
