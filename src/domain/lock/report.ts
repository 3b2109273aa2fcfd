import { isoTime, type Now, needsJudgement } from '../../kernel/clock.ts'
import { type Context, type Refusal, refuse } from '../../kernel/decider.ts'
import { given } from '../../kernel/given.ts'
import { shortened } from '../../kernel/rendering.ts'
import type { Acquire } from './commands.ts'
import { deliverableIdIn } from './names.ts'
import { judgedEvent, refusedEvent } from './record.ts'
import { type Grant, leaseRemainingSeconds } from './state.ts'

/**
 * The LOCK_CONTENTION report (Deliverable Lock Specification, REQ-LOCK-007). `lease_remaining_s` is in whole seconds,
 * rounded up; null for a lock without a lease. `retry_after_s` advises when to try again. If the clocks here cannot
 * place a lease, the judgement is recorded, so that the lease has an end. For a path, `name` is the lock that was
 * attempted, and `held` the one in its way.
 */
export function contention(
  grant: Grant,
  now: Now,
  holderAlive: 'yes' | 'no' | 'unknown',
  { held = grant.name, name = held }: { held?: string; name?: string } = {},
): Refusal {
  const remaining = leaseRemainingSeconds(grant, now)
  const { first, lock_reason, shared, worktree } = grant
  const message = `${held} is held by ${grant.holder}${leaseText(remaining)}${reasonText(lock_reason)}`
  const refusal = refuse('LOCK_CONTENTION', message, {
    name,
    ...(held === name ? {} : { held_name: held }),
    ...given({ deliverable_id: grant.deliverable_id, run_id: grant.run_id, target_name: grant.target_name }),
    holder: grant.holder,
    lease_remaining_s: remaining,
    contention_time: isoTime(now.wall_ms),
    acquired: grant.acquired,
    held_since: first?.acquired ?? grant.acquired,
    ...given({ reason: lock_reason, shared, worktree }),
    host: grant.host ?? grant.evidence[0]?.host ?? null,
    pid: grant.evidence.at(-1)?.pid ?? null,
    holder_alive: holderAlive,
    lock_ref: grant.lock_ref,
    token: grant.token,
    retry_after_s: retryAfterSeconds(remaining),
  })
  return needsJudgement(grant, now) ? { ...refusal, record: judgedEvent(grant, now), isChange: true } : refusal
}

/**
 * Contention is only counted, unless the configuration asks to record it. A judgement of a lease is always recorded.
 */
export function contended(refusal: Refusal, command: Acquire, context: Context): Refusal {
  if (!context.config.record_contention || refusal.isChange) return refusal
  const facts = {
    code: refusal.code,
    command: command.type,
    message: refusal.message,
    lock_ref: command.lock_ref,
  }
  return { ...refusal, record: refusedEvent(command.name, facts) }
}

/** Contention with earlier waiters while the lock is free. */
export function contentionWithWaiters(name: string, waiting: number, now: Now): Refusal {
  const deliverable_id = deliverableIdIn(name)
  return refuse('LOCK_CONTENTION', `${waiting} earlier callers wait for ${name}`, {
    name,
    ...given({ deliverable_id }),
    holder: 'waiters',
    lease_remaining_s: 0,
    contention_time: isoTime(now.wall_ms),
    acquired: null,
    host: null,
    pid: null,
    holder_alive: 'yes',
    token: null,
    waiting,
    retry_after_s: 1,
  })
}

/**
 * LOCK_PLACEMENT: a deliverable's name is bound to the folder where it was first locked, until that folder is retired.
 * `holder` has the lock there.
 */
export function boundElsewhere(
  name: string,
  { bound, asked, holder }: { bound: string; asked: string; holder: Grant | null },
): Refusal {
  const held = holder === null ? '' : `; the lock is held there by ${holder.holder}`
  return refuse(
    'LOCK_PLACEMENT',
    `${name} is bound to the folder ${bound}, so ${asked} cannot have the same id${held}`,
    {
      name,
      bound_folder: bound,
      folder: asked,
      ...(holder === null ? {} : { holder: holder.holder, token: holder.token }),
    },
  )
}

/** The content of a lock file without a grant in the ledger. */
export interface FileFinding {
  name: string
  deliverable_id: string
  holder: string
  acquired: string | null
  lease_remaining_s: number
  pid: number | null
  holder_alive: 'yes' | 'no' | 'unknown'
  path: string
}

/** Contention with a lock file of another tool, or with an unreadable file (`holder: "unreadable"`). */
export function contentionWithFile(file: FileFinding, now: Now): Refusal {
  return refuse('LOCK_CONTENTION', `${file.name} is held by ${file.holder}, according to the file ${file.path}`, {
    ...file,
    contention_time: isoTime(now.wall_ms),
    host: null,
    token: null,
    retry_after_s: retryAfterSeconds(file.lease_remaining_s),
  })
}

function retryAfterSeconds(remaining: number | null): number {
  return Math.max(1, Math.min(remaining ?? 60, 60))
}

/** Why the holder has the lock, in one short line. The whole reason is in the details. */
function reasonText(reason: string | undefined): string {
  return reason === undefined ? '' : `, for: ${shortened(reason.replaceAll(/\s+/g, ' ').trim(), reasonCharsMax)}`
}

const reasonCharsMax = 120

function leaseText(remaining: number | null): string {
  return remaining === null ? '' : `, with ${remaining} s left on the lease`
}
