import type { RunReasons } from '../api/shapes/runs.ts'
import type { RunRecord } from '../domain/run/run-record.ts'
import { whoText } from './audit-text.ts'
import { durationText, timeText } from './output.ts'

/** The record of a run, for people. */
export function runLines(record: RunRecord): string[] {
  const { actor, case_id, error, lease, outcome, parent_run_id, run_id, run_kind, status } = record
  const where = [
    actor?.lane_id && `lane ${actor.lane_id}`,
    actor?.role_id && `role ${actor.role_id}`,
    case_id && `case ${case_id}`,
  ]
  return [
    `${run_id} (${run_kind}) is ${status}${outcome ? `: ${outcome}` : ''}`,
    `actor ${whoText(actor ?? {})}, created ${timeText(record.created_at_utc)}${parent_run_id ? `, below ${parent_run_id}` : ''}`,
    ...(where.some(Boolean) ? [where.filter(Boolean).join(', ')] : []),
    `pinned to lanes ${record.policy_versions.lanes}, roles ${record.policy_versions.roles}`,
    ...(lease && status === 'running' ? [`lease ends ${timeText(lease.expires_at_utc)}`] : []),
    ...(error ? [`${error.error_code}: ${error.message}${error.retryable ? ' (retryable)' : ''}`] : []),
  ]
}

/** The state of a run and the reasons for it, for people. */
export function whyLines(why: RunReasons): string[] {
  const { denied, ended_ancestor, last_event, lease_remaining_s, lock, missing_events, moves, processes } = why
  const code = last_event.code === null ? '' : ` ${last_event.code}`
  return [
    `${why.run_id} is ${why.status}${why.lease_expired ? ', but its lease expired: the next command marks it as failed' : ''}`,
    `last event ${last_event.type}${code}, ${timeText(last_event.time)} (entry ${last_event.seq})`,
    ...(denied === null ? [] : [`denied by ${denied.rule_ids.join(', ') || 'hand'}`]),
    ...(denied?.missing.length ? [`missing: ${denied.missing.join(', ')}`] : []),
    ...(missing_events.length === 0 ? [] : [`owes ${missing_events.join(', ')}`]),
    ...(lock === null ? [] : [`holds ${lock.name}, token ${lock.token}${lock.current ? '' : ', no longer current'}`]),
    ...(lease_remaining_s === null ? [] : [`${durationText(lease_remaining_s)} left of its lease`]),
    ...(processes === null ? [] : [processText(processes)]),
    ...(ended_ancestor === null
      ? []
      : [`${ended_ancestor.run_id} above it is ${ended_ancestor.status}, so no work can be added`]),
    moves.length === 0 ? 'it has ended' : `it can become ${moves.join(', ')}`,
  ]
}

function processText({ alive, host, pids }: NonNullable<RunReasons['processes']>): string {
  const state = { no: 'dead', unknown: 'perhaps alive', yes: 'alive' }
  return `processes ${pids.join(', ')} on ${host}${alive === null ? '' : `: ${state[alive]}`}`
}
