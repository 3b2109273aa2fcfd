import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  elapsedMillis,
  isoSeconds,
  isoTime,
  type LeaseClock,
  type LeaseFacts,
  leaseClockSchema,
  leaseRemainingMillis,
  type Now,
  needsJudgement,
} from '../../src/kernel/clock.ts'

import { fixture } from '../merkle/model.ts'

/**
 * The lease was granted on host h1, in boot b1 and time namespace n1, 1,000 ms after it began, at wall time 0; `wall`
 * counts from there. The monotonic clock agrees with the uptime, and no namespace changed, unless the row says so; null
 * is a clock that could not be read.
 */
interface Row {
  title: string
  lease_s: number | null
  boot: string
  boot_ms: number
  monotonic_ms?: number | null
  time_ns?: string | null
  wall: number
  host?: string
  granted?: { boot_id?: string; time_ns?: null }
  judged?: { boot_id: string; boot_ms: number; wall: number }
  remaining: number | null
  /** Whether the judge has to record that it looked. */
  judge?: boolean
}

const test = suite('clock')
const grantedAt = Date.UTC(2026, 1, 2, 12)

function clockOf(boot_id: string, boot_ms: number, monotonic_ms: number | null, time_ns: string | null): LeaseClock {
  return {
    boot_id,
    boot_ms,
    ...(monotonic_ms === null ? {} : { monotonic_ms }),
    ...(time_ns === null ? {} : { time_ns }),
  }
}

function leaseOf({ granted = {}, judged, lease_s }: Row): LeaseFacts {
  const millis = (lease_s ?? 0) * 1_000
  const { boot_id = 'b1', time_ns = 'n1' } = granted
  return {
    lease_clock: clockOf(boot_id, 1_000, 1_000, time_ns),
    lease_duration_s: lease_s,
    expires_at: lease_s === null ? null : isoTime(grantedAt + millis),
    host_id: 'h1',
    ...(judged && {
      judged: {
        expires_at: isoTime(grantedAt + judged.wall + millis),
        host_id: 'h3',
        lease_clock: clockOf(judged.boot_id, judged.boot_ms, judged.boot_ms, 'n1'),
      },
    }),
  }
}

for (const row of fixture<Row[]>('core/clock.json')) {
  test(row.title, () => {
    const { boot, boot_ms, host = 'h1', monotonic_ms = boot_ms, time_ns = 'n1', wall } = row
    const lease_clock = clockOf(boot, boot_ms, monotonic_ms, time_ns)
    const now = { wall_ms: grantedAt + wall, lease_clock, host_id: host }
    assert.is(leaseRemainingMillis(leaseOf(row), now), row.remaining)
    assert.is(needsJudgement(leaseOf(row), now), row.judge ?? false)
  })
}

for (const [title, boot_id, boot_ms, wall, expected] of [
  ['by the lease clock', 'b1', 31_000, 90_000, 30_000],
  ['by the wall clock where boots differ', 'b2', 31_000, 90_000, 90_000],
  ['by the wall clock where no boot is known', 'unknown', 31_000, 90_000, 90_000],
  ['never negative', 'b2', 31_000, -90_000, 0],
] as const) {
  test(`elapsed time is counted ${title}`, () => {
    const at = { time: isoTime(grantedAt), lease_clock: clockOf('b1', 1_000, 1_000, 'n1'), host_id: 'h1' }
    const lease_clock = clockOf(boot_id, boot_ms, boot_ms, 'n1')
    const now: Now = { wall_ms: grantedAt + wall, lease_clock, host_id: 'h1' }
    assert.is(elapsedMillis(at, now), expected)
  })
}

test('times are RFC 3339 in UTC, to the millisecond in entries and to the second in RUN_LOCK.json', () => {
  assert.is(isoTime(grantedAt + 7), '2026-02-02T12:00:00.007Z')
  assert.is(isoSeconds(isoTime(grantedAt + 999)), '2026-02-02T12:00:00Z')
})

test('a lease clock is a boot id and whole milliseconds since that boot', () => {
  assert.ok(leaseClockSchema.safeParse({ boot_id: 'b', boot_ms: 0 }).success)
  assert.ok(leaseClockSchema.safeParse({ boot_id: 'b'.repeat(64), boot_ms: 0 }).success)
  assert.ok(leaseClockSchema.safeParse({ boot_id: 'b', boot_ms: 0, monotonic_ms: 0, time_ns: 'time:[1]' }).success)
  for (const bad of [
    { boot_id: '', boot_ms: 0 },
    { boot_id: 'b'.repeat(65), boot_ms: 0 },
    { boot_id: 'b', boot_ms: -1 },
    { boot_id: 'b', boot_ms: 0.5 },
    { boot_id: 'b', boot_ms: 0, monotonic_ms: -1 },
    { boot_id: 'b', boot_ms: 0, time_ns: '' },
    { boot_id: 'b', boot_ms: 0, more: 1 },
  ]) {
    assert.not(leaseClockSchema.safeParse(bad).success, JSON.stringify(bad))
  }
})

test.run()
