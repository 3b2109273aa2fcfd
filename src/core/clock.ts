import * as z from 'zod'

/** The boot id of a lease clock whose process could not read one: it equals no other, itself included. */
export const unknownBoot = 'unknown'

/**
 * Time since boot, the same for every process of one boot. Leases run on it, so that no jump of the wall clock robs a
 * holder or keeps a lock alive for ever. `boot_ms` counts time in suspend, `monotonic_ms` does not; `time_ns` is the
 * time namespace that both count in. Entries of older versions lack the last two, and so do clocks that cannot read
 * them: they count as unknown.
 */
export const leaseClockSchema = z.strictObject({
  boot_id: z.string().min(1).max(64),
  boot_ms: z.int().min(0),
  monotonic_ms: z.int().min(0).optional(),
  time_ns: z.string().min(1).max(64).optional(),
})
export type LeaseClock = z.infer<typeof leaseClockSchema>

/** The moment a batch is decided at: wall clock, lease clock and the machine both belong to. */
export interface Now {
  wall_ms: number
  lease_clock: LeaseClock
  host_id: string
}

/** A moment as it is recorded: when a lease began, or when somebody judged it. */
interface Moment {
  wallMillis: number
  clock: LeaseClock
  hostId: string
}

/**
 * What a judge recorded of a lease that its clocks could not place: from then on the lease lasts at most once more its
 * full length. `expires_at` is the end of that by the judge's wall clock.
 */
export interface Judgement {
  expires_at: string
  host_id: string
  lease_clock: LeaseClock
}

/** What a grant records of its lease. `expires_at` is wall time, used only where lease clocks cannot be compared. */
export interface LeaseFacts {
  lease_clock: LeaseClock
  lease_duration_s: number | null
  expires_at: string | null
  host_id: string
  judged?: Judgement
}

/**
 * Milliseconds left on a lease, never more than its full length; zero or less means expired, null means that it never
 * expires.
 *
 * Where the lease clocks can be compared, they alone decide. Elsewhere the lease is over only when both the recorded
 * wall expiry and all that can be said of the boot agree, at the latest a full lease after a recorded judgement
 * (ADR 0028).
 */
export function leaseRemainingMillis(lease: LeaseFacts, now: Now): number | null {
  const fullMillis = fullMillisOf(lease)
  return fullMillis === null ? null : Math.min(fullMillis, unboundedMillis(lease, fullMillis, now))
}

/**
 * Whether a judge has to record that it looked: by its clocks the lease has more than its full length to go, as one
 * that was granted under a wall clock years ahead.
 */
export function needsJudgement(lease: LeaseFacts, now: Now): boolean {
  const fullMillis = fullMillisOf(lease)
  return fullMillis !== null && unboundedMillis(lease, fullMillis, now) > fullMillis + skewMillisMax
}

/** A judgement made now. */
export function judgementOf(leaseSeconds: number, { host_id, lease_clock, wall_ms }: Now): Judgement {
  return { expires_at: isoTime(wall_ms + leaseSeconds * 1000), host_id, lease_clock }
}

/** Milliseconds since a recorded moment, by the wall clock where lease clocks cannot be compared; never negative. */
export function elapsedMillis(at: { time: string; lease_clock: LeaseClock; host_id: string }, now: Now): number {
  const moment = { wallMillis: Date.parse(at.time), clock: at.lease_clock, hostId: at.host_id }
  return Math.max(0, comparedMillis(moment, now) ?? now.wall_ms - moment.wallMillis)
}

/** Wall clocks of two hosts may differ by this much before a lease seems too long. */
const skewMillisMax = 1_000

function fullMillisOf({ expires_at, lease_duration_s }: LeaseFacts): number | null {
  return lease_duration_s === null || expires_at === null ? null : lease_duration_s * 1000
}

function unboundedMillis({ judged, ...lease }: LeaseFacts, fullMillis: number, now: Now): number {
  const remaining = remainingMillis(lease as Judgement, fullMillis, now)
  return judged === undefined ? remaining : Math.min(remaining, remainingMillis(judged, fullMillis, now))
}

/** What is left of a full lease that began, or was judged, at a recorded moment. */
function remainingMillis({ expires_at, host_id, lease_clock }: Judgement, fullMillis: number, now: Now): number {
  const moment = { wallMillis: Date.parse(expires_at) - fullMillis, clock: lease_clock, hostId: host_id }
  const compared = comparedMillis(moment, now)
  if (compared !== undefined) return fullMillis - compared
  // The later of the two: what cannot be known never counts as expired.
  return fullMillis - Math.min(now.wall_ms - moment.wallMillis, ...bootMillisSince(moment, now))
}

/**
 * Milliseconds since a moment by lease clocks that can be compared: those of one known boot and one known time
 * namespace; undefined for others. The monotonic clock can be neither set nor replaced by a file, so it is believed;
 * it stands still in suspend. The uptime counts suspend, but a container may have its own, so it is believed only
 * where the wall clock agrees with it.
 */
function comparedMillis({ clock, wallMillis }: Moment, { lease_clock, wall_ms }: Now): number | undefined {
  const isOneBoot = clock.boot_id === lease_clock.boot_id && clock.boot_id !== unknownBoot
  if (!isOneBoot || clock.time_ns === undefined || clock.time_ns !== lease_clock.time_ns) return undefined
  const byUptime = lease_clock.boot_ms - clock.boot_ms
  const apart = Math.abs(wall_ms - wallMillis - byUptime)
  const agrees = byUptime >= 0 && apart <= apartMillisMax + byUptime * slewMax
  const byMonotonic = monotonicMillis(clock, lease_clock)
  if (byMonotonic === undefined) return agrees ? byUptime : undefined
  // It goes back where a virtual machine was restored from a snapshot; then nothing can be compared.
  if (byMonotonic < 0) return undefined
  return agrees ? Math.max(byUptime, byMonotonic) : byMonotonic
}

/** Two readings of one pair of clocks differ by less than this, and by what slewing a clock may add in the meantime. */
const apartMillisMax = 250
const slewMax = 0.001

/**
 * How much time has passed at least, by clocks that cannot be compared for certain; nothing where they say nothing. The
 * uptime counts only where no monotonic clock was recorded.
 */
function bootMillisSince({ clock, hostId }: Moment, { host_id, lease_clock }: Now): number[] {
  const isKnown = clock.boot_id !== unknownBoot && lease_clock.boot_id !== unknownBoot
  const byMonotonic = monotonicMillis(clock, lease_clock)
  if (isKnown && clock.boot_id === lease_clock.boot_id) {
    return elapsed(byMonotonic ?? lease_clock.boot_ms - clock.boot_ms)
  }
  if (hostId !== host_id) return []
  // After a reboot of this host, at least all the time since.
  return elapsed(isKnown ? (lease_clock.monotonic_ms ?? lease_clock.boot_ms) : byMonotonic)
}

/** A clock that went back began anew, or is another one: it says nothing. */
function elapsed(millis: number | undefined): number[] {
  return millis === undefined || millis < 0 ? [] : [millis]
}

function monotonicMillis(from: LeaseClock, to: LeaseClock): number | undefined {
  if (from.monotonic_ms === undefined || to.monotonic_ms === undefined) return undefined
  return to.monotonic_ms - from.monotonic_ms
}

/** RFC 3339 in UTC with milliseconds. */
export function isoTime(wallMillis: number): string {
  // A batch has one time and mostly one expiry, so two are remembered.
  const slot = wallMillis === lastMillis[0] ? 0 : 1
  if (wallMillis !== lastMillis[slot]) {
    lastMillis = [lastMillis[1], wallMillis]
    lastTexts = [lastTexts[1], new Date(wallMillis).toISOString()]
  }
  return lastTexts[slot]
}

let lastMillis: [number, number] = [Number.NaN, Number.NaN]
let lastTexts: [string, string] = ['', '']

/** RFC 3339 in UTC to the second, the form of RUN_LOCK.json. */
export function isoSeconds(time: string): string {
  return `${time.slice(0, 19)}Z`
}
