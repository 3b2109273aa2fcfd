import * as z from 'zod'
import { graceRemainingMillis, type SeatChange } from './seat-changes.ts'

/**
 * The boot id of a lease clock if the process could not read one. It never counts as equal to any boot id, not even to
 * itself.
 */
export const unknownBoot = 'unknown'

/** Begins the boot id of a lease clock that is the clock of a database, which all nodes share. */
export const databaseBoot = 'pg:'

/**
 * Time since boot, the same for every process of one boot. Leases use it, so that a jump of the wall clock can neither
 * end a lease early nor extend it for ever. In a database `boot_id` is `pg:` and its system identifier, and `boot_ms` is
 * the database's time since 1970. `boot_ms` includes time in suspend, and `monotonic_ms` does not. `time_ns`
 * is the time namespace of both. The last two are missing in entries of older versions and on systems that cannot read
 * them; they then count as unknown.
 */
export const leaseClockSchema = z.strictObject({
  boot_id: z.string().min(1).max(64),
  boot_ms: z.int().min(0),
  monotonic_ms: z.int().min(0).optional(),
  time_ns: z.string().min(1).max(64).optional(),
})
export type LeaseClock = z.infer<typeof leaseClockSchema>

/** The moment at which a batch is decided: the wall clock, the lease clock, and the machine of both. */
export interface Now {
  wall_ms: number
  lease_clock: LeaseClock
  host_id: string
  /** The changes of the writer that may extend a lease, oldest first. Absent where there is only one writer. */
  seat_changes?: readonly SeatChange[]
}

/** A recorded moment: when a lease began, or when it was judged. */
interface Moment {
  wallMillis: number
  clock: LeaseClock
  hostId: string
}

/**
 * A recorded judgement of a lease, by a process whose clocks could not place it. From then on the lease lasts at most
 * its full length again. `expires_at` is that end by the wall clock of the judging process.
 */
export interface Judgement {
  expires_at: string
  host_id: string
  lease_clock: LeaseClock
}

/** The lease facts in a grant. `expires_at` is wall time and is used only if the lease clocks cannot be compared. */
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
 * If the lease clocks can be compared, they alone decide. Otherwise the lease has expired only if both the recorded
 * wall expiry and the known facts about the boot say so, at the latest a full lease after a recorded judgement (ADR
 * 0028). A change of the writer may extend it (ADR 0075).
 */
export function leaseRemainingMillis(lease: LeaseFacts, now: Now): number | null {
  const fullMillis = fullMillisOf(lease)
  if (fullMillis === null) return null
  const remaining = unboundedMillis(lease, fullMillis, now)
  return Math.min(fullMillis, Math.max(remaining, graceMillisOf(lease, fullMillis, now) ?? remaining))
}

function graceMillisOf(lease: LeaseFacts, fullMillis: number, now: Now): number | undefined {
  if (now.seat_changes === undefined) return undefined
  // Where nodes share a ledger, the wall clock of entries is the database's clock, and so is `boot_ms`.
  const beganMillis = Date.parse(lease.expires_at ?? '') - fullMillis
  return graceRemainingMillis({ beganMillis, fullMillis }, now.seat_changes, now.lease_clock.boot_ms)
}

/**
 * Whether the judgement must be recorded: by the clocks here the lease has more than its full length left. This happens
 * if it was granted while a wall clock was years ahead.
 */
export function needsJudgement(lease: LeaseFacts, now: Now): boolean {
  const fullMillis = fullMillisOf(lease)
  return fullMillis !== null && unboundedMillis(lease, fullMillis, now) > fullMillis + skewMillisMax
}

/** A judgement made now. */
export function judgementOf(leaseSeconds: number, { host_id, lease_clock, wall_ms }: Now): Judgement {
  return { expires_at: isoTime(wall_ms + leaseSeconds * 1000), host_id, lease_clock }
}

/**
 * Milliseconds since a recorded moment, never negative. The wall clock is used if the lease clocks cannot be compared.
 */
export function elapsedMillis(at: { time: string; lease_clock: LeaseClock; host_id: string }, now: Now): number {
  const moment = { wallMillis: Date.parse(at.time), clock: at.lease_clock, hostId: at.host_id }
  return Math.max(0, comparedMillis(moment, now) ?? now.wall_ms - moment.wallMillis)
}

/** The tolerated difference between the wall clocks of two hosts before a lease counts as too long. */
const skewMillisMax = 1_000

function fullMillisOf({ expires_at, lease_duration_s }: LeaseFacts): number | null {
  return lease_duration_s === null || expires_at === null ? null : lease_duration_s * 1000
}

function unboundedMillis({ judged, ...lease }: LeaseFacts, fullMillis: number, now: Now): number {
  const remaining = remainingMillis(lease as Judgement, fullMillis, now)
  return judged === undefined ? remaining : Math.min(remaining, remainingMillis(judged, fullMillis, now))
}

/** The rest of a full lease that began, or was judged, at a recorded moment. */
function remainingMillis({ expires_at, host_id, lease_clock }: Judgement, fullMillis: number, now: Now): number {
  const moment = { wallMillis: Date.parse(expires_at) - fullMillis, clock: lease_clock, hostId: host_id }
  const compared = comparedMillis(moment, now)
  if (compared !== undefined) return fullMillis - compared
  // The later of the two ends is used, so that an unknown lease never counts as expired.
  return fullMillis - Math.min(now.wall_ms - moment.wallMillis, ...bootMillisSince(moment, now))
}

/**
 * Milliseconds since a moment by comparable lease clocks, which have the same known boot and time namespace; undefined
 * otherwise. The monotonic clock is trusted, because it cannot be set or replaced by a file, but it stops in suspend.
 * The uptime includes suspend, but a container may have its own uptime. So the uptime is trusted only if the wall clock
 * agrees with it.
 */
function comparedMillis({ clock, wallMillis }: Moment, { lease_clock, wall_ms }: Now): number | undefined {
  const isOneBoot = clock.boot_id === lease_clock.boot_id && clock.boot_id !== unknownBoot
  // The database has one clock, and its writers never let it go back.
  if (isOneBoot && clock.boot_id.startsWith(databaseBoot)) return Math.max(0, lease_clock.boot_ms - clock.boot_ms)
  if (!isOneBoot || clock.time_ns === undefined || clock.time_ns !== lease_clock.time_ns) return undefined
  const byUptime = lease_clock.boot_ms - clock.boot_ms
  const apart = Math.abs(wall_ms - wallMillis - byUptime)
  const agrees = byUptime >= 0 && apart <= apartMillisMax + byUptime * slewMax
  const byMonotonic = monotonicMillis(clock, lease_clock)
  if (byMonotonic === undefined) return agrees ? byUptime : undefined
  // The clock goes back if a virtual machine was restored from a snapshot. Then nothing can be compared.
  if (byMonotonic < 0) return undefined
  return agrees ? Math.max(byUptime, byMonotonic) : byMonotonic
}

/**
 * The tolerated difference between two readings of one pair of clocks, besides the drift that slewing may add in the
 * meantime.
 */
const apartMillisMax = 250
const slewMax = 0.001

/**
 * The least time that has passed, by clocks that cannot be compared reliably; zero if they give no information. The
 * uptime is used only if no monotonic clock was recorded.
 */
function bootMillisSince({ clock, hostId }: Moment, { host_id, lease_clock }: Now): number[] {
  const isKnown = clock.boot_id !== unknownBoot && lease_clock.boot_id !== unknownBoot
  const byMonotonic = monotonicMillis(clock, lease_clock)
  if (isKnown && clock.boot_id === lease_clock.boot_id) {
    return elapsed(byMonotonic ?? lease_clock.boot_ms - clock.boot_ms)
  }
  if (hostId !== host_id) return []
  // After a reboot of this host, at least the time since that reboot has passed.
  return elapsed(isKnown ? (lease_clock.monotonic_ms ?? lease_clock.boot_ms) : byMonotonic)
}

/** A clock that went back was restarted or is a different clock, so it gives no information. */
function elapsed(millis: number | undefined): number[] {
  return millis === undefined || millis < 0 ? [] : [millis]
}

function monotonicMillis(from: LeaseClock, to: LeaseClock): number | undefined {
  if (from.monotonic_ms === undefined || to.monotonic_ms === undefined) return undefined
  return to.monotonic_ms - from.monotonic_ms
}

/** RFC 3339 in UTC with milliseconds. */
export function isoTime(wallMillis: number): string {
  // A batch has one time and usually one expiry, so two values are cached.
  const slot = wallMillis === lastMillis[0] ? 0 : 1
  if (wallMillis !== lastMillis[slot]) {
    lastMillis = [lastMillis[1], wallMillis]
    lastTexts = [lastTexts[1], new Date(wallMillis).toISOString()]
  }
  return lastTexts[slot]
}

let lastMillis: [number, number] = [Number.NaN, Number.NaN]
let lastTexts: [string, string] = ['', '']

/** RFC 3339 in UTC with whole seconds, the format in RUN_LOCK.json. */
export function isoSeconds(time: string): string {
  return `${time.slice(0, 19)}Z`
}
