/**
 * When things happened, as far as a history tells. The current lease began at some moment from `beganFrom` to
 * `beganTo`. The last command took effect no earlier than `now`, and no earlier than `since` after the lease began.
 * For every beginning in that range the earliest moment of the last command is known, so no order of commands that is
 * possible is lost, and none that is impossible is kept.
 */
export interface Times {
  beganFrom: number
  beganTo: number
  now: number
  since: number
}

/** What a command needs of the lease that is current when it takes effect. */
export type When = 'any' | 'current' | 'dead' | 'expired'

/** A command's effect on the lease: the lease goes on, starts (again), or ends. */
export type Effect = 'begins' | 'ends' | 'keeps'

export const atFirst: Times = { beganFrom: -Infinity, beganTo: -Infinity, now: -Infinity, since: 0 }

/** The current lease: its length, how far the ledger's judgement may be off, and when its holder died. */
export interface Lease {
  lease_ms: number
  slack_ms: number
  died: number
  isExtended: boolean
}

/** The times after a command took effect within its window; undefined if it cannot have. */
export function timesAfter(
  times: Times,
  { from, to }: { from: number; to: number },
  { effect, lease, when }: { effect: Effect; lease: Lease; when: When },
): Times | undefined {
  const now = Math.max(times.now, from, when === 'dead' ? lease.died : -Infinity)
  const since = when === 'expired' ? Math.max(times.since, lease.lease_ms - lease.slack_ms) : times.since
  const atMost = when === 'current' && !lease.isExtended ? lease.lease_ms + lease.slack_ms : Infinity
  const beganFrom = Math.max(times.beganFrom, now - atMost)
  const beganTo = Math.min(times.beganTo, to - since)
  if (now > to || now === Infinity || since > atMost || beganFrom > beganTo) return undefined
  const earliest = Math.max(now, beganFrom + since)
  if (effect === 'ends') return { ...atFirst, now: earliest }
  if (effect === 'keeps') return { beganFrom, beganTo, now, since }
  const latest = when === 'current' ? Math.min(to, beganTo + atMost) : to
  return { beganFrom: earliest, beganTo: latest, now: earliest, since: 0 }
}

/** Whether all that is possible after `others` is possible after `times` too. */
export function includes(times: Times, others: Times): boolean {
  return (
    times.beganFrom <= others.beganFrom &&
    times.beganTo >= others.beganTo &&
    times.now <= others.now &&
    times.since <= others.since
  )
}
