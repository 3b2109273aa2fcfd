import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { below, randomFrom } from '../../fixtures/random.ts'
import { isoTime, type LeaseFacts, leaseRemainingMillis, type Now } from '../../src/kernel/clock.ts'
import { type SeatChange, withChange } from '../../src/kernel/seat-changes.ts'
import { printedSeed } from '../support/seed.ts'

const test = suite('leases over changes of the writer')
const rounds = 60 * Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const start = Date.UTC(2026, 0, 2)

const clockAt = (millis: number) => ({ boot_id: 'pg:7714025349980081439', boot_ms: start + millis })

function leaseAt(millis: number, seconds: number): LeaseFacts {
  const expires_at = isoTime(start + millis + seconds * 1000)
  return { expires_at, host_id: 'h1', lease_clock: clockAt(millis), lease_duration_s: seconds }
}

const nowAt = (millis: number, seat_changes: readonly SeatChange[] = []): Now => {
  return { host_id: 'h2', lease_clock: clockAt(millis), seat_changes, wall_ms: start + millis }
}

const changeAt = (millis: number, is_failover = false): SeatChange => ({ at_ms: start + millis, is_failover })

test('the clock of the database is the same on every node', () => {
  is(leaseRemainingMillis(leaseAt(0, 10), nowAt(4_000)), 6_000)
  is(leaseRemainingMillis(leaseAt(0, 10), nowAt(10_000)), 0)
})

test('a lease lasts for 30 s after a change, or for its full length if that is less', () => {
  is(leaseRemainingMillis(leaseAt(0, 10), nowAt(9_500, [changeAt(9_000)])), 9_500)
  is(leaseRemainingMillis(leaseAt(0, 600), nowAt(599_500, [changeAt(599_000)])), 29_500)
})

test('a lease that lasts longer anyway, or that began after the change, is as long as ever', () => {
  is(leaseRemainingMillis(leaseAt(0, 600), nowAt(5_000, [changeAt(4_000)])), 595_000)
  is(leaseRemainingMillis(leaseAt(5_000, 10), nowAt(14_000, [changeAt(4_000)])), 1_000)
})

test('only the first change extends a lease, and a renewal lets the next change extend it again', () => {
  const changes = [changeAt(9_000), changeAt(18_000), changeAt(27_000)]
  is(leaseRemainingMillis(leaseAt(0, 10), nowAt(19_500, changes)), -500)
  is(leaseRemainingMillis(leaseAt(17_000, 10), nowAt(27_900, changes)), 100)
})

test('after a failover of the database a lease lasts for its full length', () => {
  is(leaseRemainingMillis(leaseAt(0, 600), nowAt(599_500, [changeAt(599_000, true)])), 599_500)
  const changes = [changeAt(100_000), changeAt(599_000, true), changeAt(700_000, true)]
  is(leaseRemainingMillis(leaseAt(0, 600), nowAt(800_000, changes)), 399_000)
})

/** Every change is remembered, and the sentences of the rule are taken word by word. */
function expected({ began, seconds }: { began: number; seconds: number }, changes: readonly SeatChange[], now: number) {
  const full = seconds * 1000
  const since = changes.filter(({ at_ms }) => at_ms - start >= began)
  const [first] = since
  const failover = since.find(({ is_failover }) => is_failover)
  let end = began + full
  if (first !== undefined) end = Math.max(end, first.at_ms - start + Math.min(full, 30_000))
  if (failover !== undefined) end = Math.max(end, failover.at_ms - start + full)
  return Math.min(full, end - now)
}

test('in any sequence of grants, renewals and changes no holder is robbed and no lock is immortal', () => {
  const random = randomFrom(printedSeed('leases over changes of the writer'))
  for (let round = 0; round < rounds; round += 1) {
    let now = 0
    let kept: readonly SeatChange[] = []
    const all: SeatChange[] = []
    const leases: { began: number; seconds: number }[] = []
    const flaps = random() < 0.3
    for (let step = 0; step < 150; step += 1) {
      now += below(flaps ? 4_000 : 40_000, random)
      const what = random()
      if (what < 0.4) {
        const change = changeAt(now, random() < 0.15)
        all.push(change)
        kept = withChange(kept, change)
      } else if (what < 0.7) leases.push({ began: now, seconds: 1 + below(random() < 0.5 ? 60 : 3_600, random) })
      else {
        const renewed = leases[below(Math.max(1, leases.length), random)]
        if (renewed !== undefined && expected(renewed, all, now) > 0) renewed.began = now
      }
      // A grant in the millisecond of a change is older or newer; nobody can tell.
      now += 1
      for (const lease of leases) {
        const { began, seconds } = lease
        const remaining = leaseRemainingMillis(leaseAt(began, seconds), nowAt(now, kept)) ?? 0
        const wanted = expected(lease, all, now)
        if (wanted > 0 || remaining > 0) equal({ round, step, remaining }, { round, step, remaining: wanted })
        ok(remaining >= began + seconds * 1000 - now, 'no holder is robbed')
      }
    }
  }
})

test('a writer that changes every second for an hour keeps no lock beyond its extension, and few changes', () => {
  let kept: readonly SeatChange[] = []
  for (let now = 5_000; now < 3_600_000; now += 1_000) {
    kept = withChange(kept, changeAt(now))
    const remaining = leaseRemainingMillis(leaseAt(0, 60), nowAt(now, kept)) ?? 0
    is(remaining > 0, now < 60_000, String(now))
  }
  ok(kept.length <= 40, String(kept.length))
})

test.run()
