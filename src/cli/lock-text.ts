import type { LockState } from '../api/shapes/locks.ts'
import { whoText } from './audit-text.ts'
import { durationText, timeText } from './output.ts'

/** The status of a lock, for people. */
export function statusLines(status: LockState): string[] {
  if (status.state === 'free') {
    const last = status.last_seq === null ? 'it was never locked' : `its last entry is ${status.last_seq}`
    return [`${status.name} is free; ${last}`]
  }
  return [
    `${status.held_name ?? status.name} is held by ${status.holder}${status.shared ? ', shared' : ''}${status.state === 'orphan' ? `, an orphan: ${status.orphan_reason}` : ''}`,
    `${status.token === undefined ? 'no token' : `token ${status.token}`}, acquired ${acquiredText(status)}, ${remainingText(status)}`,
    `processes ${status.pids?.join(', ') || 'none recorded'}${status.host === undefined ? '' : ` on ${status.host}`}; ${aliveText(status)}`,
    ...(status.actor_id === undefined ? [] : [`granted to ${whoText(status)}`]),
    ...(status.reason === undefined ? [] : [`for: ${status.reason.replaceAll(/\s+/g, ' ')}`]),
    ...(status.paths === undefined || status.paths.length === 1 ? [] : [`paths ${status.paths.join(', ')}`]),
    ...(status.worktree === undefined ? [] : [`worktree ${status.worktree}`]),
    ...(status.folder === undefined ? [] : [`folder ${status.folder}`]),
    ...(status.run_id === undefined ? [] : [`run ${status.run_id} (${status.target_name ?? 'unknown target'})`]),
    ...(status.waiting === 0 ? [] : [waitingText(status)]),
  ]
}

function waitingText({ first_waiting, waiting }: LockState): string {
  return `${waiting} waiting${first_waiting === undefined ? '' : `; first is ${first_waiting.holder} (${whoText(first_waiting)})`}`
}

/** A holder's process can outlive its lease. The lock can then be taken although the process is alive. */
function aliveText({ holder_alive, orphan_reason }: LockState): string {
  const outlives = orphan_reason === 'lease_expired' && holder_alive === 'yes'
  return `alive: ${holder_alive}${outlives ? ', but its lease is over' : ''}`
}

/** A lock file without a grant may contain no readable time. */
function acquiredText({ acquired }: LockState): string {
  return acquired === undefined ? 'at an unknown time' : timeText(acquired)
}

/** The remaining time of a lease, for people. */
export function remainingText({ lease_remaining_s }: LockState): string {
  if (lease_remaining_s === null || lease_remaining_s === undefined) return 'no lease'
  return lease_remaining_s === 0 ? 'lease expired' : `${durationText(lease_remaining_s)} left`
}
