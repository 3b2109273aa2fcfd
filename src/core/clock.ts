import * as z from 'zod'

/**
 * Time since boot, suspend counted, the same for every process of one boot. Leases run on it, so that no jump
 * of the wall clock robs a holder or keeps a lock alive for ever.
 */
export const leaseClockSchema = z.strictObject({
  boot_id: z.string().min(1).max(64),
  boot_ms: z.int().min(0),
})
export type LeaseClock = z.infer<typeof leaseClockSchema>

/** The moment a batch is decided at: wall clock, lease clock and the machine both belong to. */
export interface Now {
  wall_ms: number
  lease_clock: LeaseClock
  host_id: string
}

/** What a grant records of its lease. `expires_at` is wall time, used only where the boot is another one. */
export interface LeaseFacts {
  lease_clock: LeaseClock
  lease_duration_s: number | null
  expires_at: string | null
  host_id: string
}

/**
 * Milliseconds left on a lease; zero or less means expired, null means that it never expires.
 *
 * In the boot that granted it, the lease clock alone decides. After a reboot of the same host at least the
 * whole uptime has passed, whatever the wall clock says; beyond that the recorded wall expiry decides (ADR 0004).
 * A lease clock that went back under one boot id (a container that was restarted counts its own uptime; a system
 * without boot ids) says nothing: then the wall expiry decides, for no longer than the lease.
 */
export function leaseRemainingMillis(lease: LeaseFacts, now: Now): number | null {
  if (lease.lease_duration_s === null || lease.expires_at === null) return null
  const leaseMillis = lease.lease_duration_s * 1000
  const isSameBoot = lease.lease_clock.boot_id === now.lease_clock.boot_id
  const passedMillis = now.lease_clock.boot_ms - lease.lease_clock.boot_ms
  if (isSameBoot && passedMillis >= 0) return leaseMillis - passedMillis
  const byWallClock = Date.parse(lease.expires_at) - now.wall_ms
  if (isSameBoot) return Math.min(byWallClock, leaseMillis)
  return lease.host_id === now.host_id ? Math.min(byWallClock, leaseMillis - now.lease_clock.boot_ms) : byWallClock
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
