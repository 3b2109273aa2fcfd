import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isoSeconds, isoTime, type LeaseFacts, leaseClockSchema, leaseRemainingMillis } from '../../src/core/clock.ts'
import { fixture } from '../merkle/model.ts'

/** The lease was granted on host h1, in boot b1, 1,000 ms after it, at wall time 0; `wall` counts from there. */
interface Row {
  title: string
  lease_s: number | null
  boot: string
  boot_ms: number
  wall: number
  host?: string
  remaining: number | null
}

const test = suite('clock')
const grantedAt = Date.UTC(2026, 1, 2, 12)

for (const { title, lease_s, boot, boot_ms, wall, host = 'h1', remaining } of fixture<Row[]>('core/clock.json')) {
  test(title, () => {
    const lease: LeaseFacts = {
      lease_clock: { boot_id: 'b1', boot_ms: 1_000 },
      lease_duration_s: lease_s,
      expires_at: lease_s === null ? null : isoTime(grantedAt + lease_s * 1_000),
      host_id: 'h1',
    }
    const now = { wall_ms: grantedAt + wall, lease_clock: { boot_id: boot, boot_ms }, host_id: host }
    assert.is(leaseRemainingMillis(lease, now), remaining)
  })
}

test('times are RFC 3339 in UTC, to the millisecond in entries and to the second in RUN_LOCK.json', () => {
  assert.is(isoTime(grantedAt + 7), '2026-02-02T12:00:00.007Z')
  assert.is(isoSeconds(isoTime(grantedAt + 999)), '2026-02-02T12:00:00Z')
})

test('a lease clock is a boot and whole milliseconds since it', () => {
  assert.ok(leaseClockSchema.safeParse({ boot_id: 'b', boot_ms: 0 }).success)
  assert.ok(leaseClockSchema.safeParse({ boot_id: 'b'.repeat(64), boot_ms: 0 }).success)
  for (const bad of [
    { boot_id: '', boot_ms: 0 },
    { boot_id: 'b'.repeat(65), boot_ms: 0 },
    { boot_id: 'b', boot_ms: -1 },
    { boot_id: 'b', boot_ms: 0.5 },
    { boot_id: 'b', boot_ms: 0, more: 1 },
  ]) {
    assert.not(leaseClockSchema.safeParse(bad).success, JSON.stringify(bad))
  }
})

test.run()
