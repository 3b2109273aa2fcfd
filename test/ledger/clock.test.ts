import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { Now } from '../../src/kernel/clock.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { Ledger } from '../../src/ledger.ts'
import { refusalOf } from '../support/deliverable.ts'
import { testActor, testClock, withLedger } from '../support/ledger.ts'

const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const clocks = suite('the clock of the ledger')

/** A machine whose wall clock can be set; its lease clock runs on. Entry 0 has the real time, so it starts after that. */
function machine() {
  const clock = testClock(Date.UTC(2040, 5, 1, 12))
  let aheadMillis = 0
  return {
    now: (): Now => ({ ...clock.now(), wall_ms: clock.now().wall_ms + aheadMillis }),
    pass: (minutes: number) => clock.advance(minutes * 60_000),
    setAhead: (millis: number) => {
      aheadMillis = millis
    },
  }
}

const in2099 = Date.UTC(2099, 0, 1) - Date.UTC(2040, 5, 1, 12)
const note = (ledger: Ledger, notes: string) =>
  ledger.audit.append({ action_type: 'system', notes, outcome: 'success' }, { actor: testActor })
const notesOf = (entries: Entry[]) => entries.map(({ data, type }) => data.notes ?? type)

/** A ledger with a note before one command in 2099, that one, and one after it; a minute lies between each two. */
async function frozen(work: (ledger: Ledger, at: ReturnType<typeof machine>) => Promise<void>): Promise<void> {
  const at = machine()
  await withLedger(
    async (ledger) => {
      at.pass(1)
      await note(ledger, 'before')
      at.pass(1)
      at.setAhead(in2099)
      await note(ledger, 'in 2099')
      at.setAhead(0)
      at.pass(1)
      await note(ledger, 'after')
      await work(ledger, at)
    },
    { now: at.now },
  )
}

clocks('a ledger whose time follows the wall clock says nothing of it', async () => {
  const at = machine()
  await withLedger(
    async (ledger) => {
      await note(ledger, 'now')
      is(await ledger.clock.aheadSeconds(), undefined)
      at.setAhead(-3_599_000)
      is(await ledger.clock.aheadSeconds(), undefined)
      at.setAhead(-3_601_000)
      is(await ledger.clock.aheadSeconds(), 3_601)
    },
    { now: at.now },
  )
})

clocks('one command in 2099 freezes the time of all later entries, and that is told', async () => {
  await frozen(async (ledger) => {
    const last = await ledger.entry(ledger.head().size - 1)
    equal([last.time, last.wall_time], ['2099-01-01T00:02:00.000Z', '2040-06-01T12:03:00.000Z'])
    is(await ledger.clock.aheadSeconds(), (in2099 - 60_000) / 1000)
  })
})

clocks(
  'an operator resets the clock: from that entry on, time follows the wall clock; leases are untouched',
  async () => {
    await frozen(async (ledger, at) => {
      const lease = await ledger.locks.acquire({ name: 'reports', holder: 'TASK', lease_duration_s: 600, pids: [] })
      at.pass(1)
      const reset = await ledger.clock.reset({ actor: becca, reason: 'the clock was in 2099 for one command' })
      equal(reset, {
        seq: lease.token + 1,
        previous_time: '2099-01-01T00:02:00.000Z',
        time: '2040-06-01T12:04:00.000Z',
      })
      const { data, time, wall_time } = await ledger.entry(reset.seq)
      equal([time, wall_time], ['2040-06-01T12:04:00.000Z', undefined])
      equal(data, { by: 'BECCA', previous_time: reset.previous_time, reason: 'the clock was in 2099 for one command' })
      is((await ledger.locks.status('reports')).lease_remaining_s, 540)
      is(await ledger.clock.aheadSeconds(), undefined)
      at.pass(1)
      await note(ledger, 'follows')
      equal((await ledger.entry(reset.seq + 1)).time, '2040-06-01T12:05:00.000Z')
      equal(ledger.audit.rendered(await ledger.entry(reset.seq)).action_type, 'override')
    })
  },
)

clocks('commands that are decided with a reset have the time of their place', async () => {
  await frozen(async (ledger) => {
    const answers = [note(ledger, 'a'), ledger.clock.reset({ actor: becca, reason: 'drill' }), note(ledger, 'b')]
    await Promise.all(answers)
    const entries = await Promise.all([3, 2, 1].map((back) => ledger.entry(ledger.head().size - back)))
    const times = entries.map(({ time }) => time)
    equal(times, ['2099-01-01T00:02:00.000Z', '2040-06-01T12:03:00.000Z', '2040-06-01T12:03:00.000Z'])
  })
})

clocks('nobody but the authority or an operator resets the clock, and that is recorded', async () => {
  await frozen(async (ledger) => {
    const error = await refusalOf(ledger.clock.reset({ reason: 'I want to' }))
    is(error.code, 'CLOCK_RESET_DENIED')
    const { data, stream, type } = await ledger.entry(ledger.head().size - 1)
    equal([stream, type, data.code], ['clock', 'clock.refused', 'CLOCK_RESET_DENIED'])
    ok(((await ledger.clock.aheadSeconds()) ?? 0) > 3_600)
  })
})

clocks('a clock that is not ahead is not reset: the same command again changes nothing', async () => {
  await frozen(async (ledger) => {
    await ledger.clock.reset({ actor: becca, reason: 'drill' })
    const { size } = ledger.head()
    is((await refusalOf(ledger.clock.reset({ actor: becca, reason: 'drill' }))).code, 'CLOCK_NOT_AHEAD')
    is(ledger.head().size, size)
    is((await refusalOf(ledger.clock.reset({ actor: becca, reason: ' ' }))).code, 'INVALID_INPUT')
  })
})

clocks('entries are found by the wall clock they were recorded under, before a reset and after it', async () => {
  await frozen(async (ledger, at) => {
    const asked = async (times: { since?: string; until?: string }, more: object = {}) =>
      notesOf((await ledger.audit.entries({ ...times, ...more })).events)
    const until2050 = { until: '2050-01-01T00:00:00Z' }
    const all = ['ledger.created', 'before', 'after']
    equal(await asked(until2050), all)
    equal(await asked({ since: '2040-06-01T12:00:30Z', ...until2050 }), ['before', 'after'])
    equal(await asked({ since: '2040-06-01T12:02:30Z', ...until2050 }), ['after'])
    equal(await asked({ since: '2040-06-01T12:02:30Z' }), ['in 2099', 'after'])
    equal(await asked({ until: '2040-06-01T12:02:30Z' }), ['ledger.created', 'before'])
    equal(await asked({ since: '2050-01-01T00:00:00Z' }), ['in 2099'])
    equal(await asked({ since: '2100-01-01T00:00:00Z' }), [])

    await ledger.clock.reset({ actor: becca, reason: 'drill' })
    at.pass(1)
    await note(ledger, 'follows')
    at.pass(1)
    await note(ledger, 'last')
    equal(await asked(until2050), [...all, 'clock.reset', 'follows', 'last'])
    equal(await asked({ since: '2040-06-01T12:03:30Z', until: '2040-06-01T12:04:30Z' }), ['follows'])
    equal(await asked({ since: '2050-01-01T00:00:00Z' }), ['in 2099'])
    equal(await asked(until2050, { type: 'audit.recorded' }), ['before', 'after', 'follows', 'last'])
    equal(await asked(until2050, { stream: 'audit' }), ['before', 'after', 'follows', 'last'])
  })
})

clocks(
  'pages of a time skip nothing and repeat nothing, across a stretch in which time stood still and a reset',
  async () => {
    await frozen(async (ledger, at) => {
      for (let index = 0; index < 5; index += 1) await note(ledger, `still ${index}`)
      await ledger.clock.reset({ actor: becca, reason: 'drill' })
      at.pass(1)
      for (let index = 0; index < 5; index += 1) await note(ledger, `on ${index}`)
      const until = '2050-01-01T00:00:00Z'
      const whole = notesOf((await ledger.audit.entries({ until })).events)
      is(whole.length, 14)
      for (const limit of [1, 2, 3, 100]) {
        const paged: unknown[] = []
        for (let cursor = 0, complete = false; !complete; ) {
          const page = await ledger.audit.entries({ until, cursor, limit })
          paged.push(...notesOf(page.events))
          ;({ complete, next: cursor } = page)
        }
        equal(paged, whole, `pages of ${limit}`)
      }
      const { events, next } = await ledger.audit.entries({ until, cursor: ledger.head().size })
      equal([events, next], [[], ledger.head().size])
    })
  },
)

clocks('runs are found by the wall clock they were created under', async () => {
  const at = machine()
  await withLedger(
    async (ledger) => {
      const create = (run_id: string) => ledger.runs.create({ run_id, run_kind: 'orchestrator' })
      const listed = async (times: object) => (await ledger.runs.list(times)).runs.map(({ run_id }) => run_id)
      await create('run_first')
      at.setAhead(in2099)
      await create('run_in_2099')
      at.setAhead(0)
      at.pass(1)
      await create('run_after')
      equal(await listed({ until: '2050-01-01T00:00:00Z' }), ['run_first', 'run_after'])
      equal(await listed({ since: '2050-01-01T00:00:00Z' }), ['run_in_2099'])
      match((await ledger.runs.why('run_after')).last_event.time, /^2040-/)
      await ledger.clock.reset({ actor: becca, reason: 'drill' })
      at.pass(1)
      await create('run_follows')
      equal(await listed({ until: '2050-01-01T00:00:00Z' }), ['run_first', 'run_after', 'run_follows'])
      equal(await listed({ since: '2040-06-01T12:01:30Z', until: '2050-01-01T00:00:00Z' }), ['run_follows'])
      equal(await listed({ since: '2041-01-01T00:00:00Z', until: '2042-01-01T00:00:00Z' }), [])
    },
    { now: at.now },
  )
})

clocks.run()
