import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ListEvents } from '../../src/api/shapes/audit.ts'
import { auditEventSchema } from '../../src/domain/audit/audit-event.ts'
import { renderedEvent } from '../../src/domain/rendered-event.ts'
import { LockstepError } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { entriesOf, typesAppended } from '../support/entries.ts'
import { testClock, withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

const audit = suite('ledger.audit')

const other = { actor_id: 'agent-2', actor_type: 'agent' } as const
const event = { action_type: 'system', outcome: 'success' } as const
const lane = { lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT', case_id: 'CASE-17' }

/** A test over a ledger with a policy in force and a clock that stands still. */
function of(title: string, work: (ledger: LocalLedger, clock: ReturnType<typeof testClock>) => Promise<void>): void {
  audit(title, async () => {
    // After the moment at which the ledger is made, by the machine's own clock: an entry's time never goes back.
    const clock = testClock(Date.UTC(2100, 0, 2))
    await withLedger((ledger) => work(ledger, clock).catch(asPlainError), { now: clock.now, policy: true })
  })
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(() => undefined).catch((caught: unknown) => caught)
  assert.instance(error, LockstepError)
  return (error as LockstepError).code
}

/** Locks, a run with an allowed action, a refusal and events of programs, some seconds apart. */
async function written(ledger: LocalLedger, clock: ReturnType<typeof testClock>): Promise<string> {
  for (const name of ['reports', 'charts']) {
    const { lock_id } = await hold(ledger, { name, holder: 'agent-1' })
    clock.advance(1_000)
    await ledger.locks.release({ lock_id })
  }
  const { run_id } = await ledger.runs.create({ ...lane, run_kind: 'tool_gateway' })
  await ledger.runs.start({ run_id })
  const decision_id = await allowed(ledger, run_id)
  await ledger.runs.record({ run_id, decision_id, outcome: 'success' })
  clock.advance(1_000)
  await ledger.audit.append({ events: [event, { ...event, outcome: 'failure' }], actor: other })
  await ledger.runs.complete({ run_id, outcome_reason: 'done' })
  return run_id
}

async function allowed(ledger: LocalLedger, run_id: string): Promise<string> {
  const scope = { case_id: 'CASE-17', client_session_id: 's-1', run_id }
  const target = { name: 'dictation.start' }
  const action = { action_type: 'tool_call', lane_id: lane.lane_id, scope, target } as const
  return (await ledger.runs.authorize({ run_id, action })).decision_id
}

of('lists every entry as the audit event that it is, oldest first', async (ledger, clock) => {
  await written(ledger, clock)
  const { complete, events, next } = await ledger.audit.list()
  assert.equal([complete, next], [true, (await ledger.head.get()).size])
  assert.equal(
    events.map(({ sequence }) => sequence),
    [...events.keys()],
  )
  assert.is(events.length, (await ledger.head.get()).size)
  for (const one of events) assert.ok(auditEventSchema.safeParse(one).success, JSON.stringify(one))
  assert.equal((await ledger.audit.entries()).events, await entriesOf(ledger))
})

of('an override is recorded with its reason, or not at all; in a run as outside of any', async (ledger) => {
  const override = { action_type: 'override', outcome: 'success', outcome_reason: 'the court asked' } as const
  const { run_id } = await ledger.runs.create({ ...lane, run_kind: 'tool_gateway' })
  await ledger.runs.start({ run_id })
  const { size } = await ledger.head.get()
  assert.is(
    await codeOf(ledger.audit.append({ events: [{ action_type: 'override', outcome: 'success' }] })),
    'INVALID_INPUT',
  )
  assert.is(await codeOf(ledger.audit.append({ events: [{ ...override, decision_id: 'evt_1_000' }] })), 'INVALID_INPUT')
  assert.is((await ledger.head.get()).size, size)
  const actor = { actor_id: ledger.settings.release_authority, actor_type: 'human' } as const
  await ledger.audit.append({ actor, events: [override] })
  await ledger.audit.append({ actor, events: [{ ...override, run_id }] })
  const { events } = await ledger.audit.list({ action_type: 'override' })
  assert.equal(
    events.map(({ outcome_reason, run_id }) => [outcome_reason, run_id]),
    [
      ['the court asked', undefined],
      ['the court asked', run_id],
    ],
  )
})

of('filters give what a look at every entry gives, whole and in pages of any size', async (ledger, clock) => {
  const run_id = await written(ledger, clock)
  const entries = await entriesOf(ledger)
  const times = [...new Set(entries.map(({ time }) => time))]
  assert.ok(times.length > 2)
  const [, second = '', third = ''] = times
  const expected: [ListEvents, (entry: (typeof entries)[number], rendered: { [key: string]: unknown }) => boolean][] = [
    [{ run_id }, (entry) => entry.run_id === run_id],
    [
      { run_id, action_type: 'system' },
      (entry, { action_type }) => entry.run_id === run_id && action_type === 'system',
    ],
    [{ lock: 'reports' }, ({ stream }) => stream === 'lock/resource:reports'],
    [{ lock: 'nothing' }, () => false],
    [{ stream: 'audit' }, ({ stream }) => stream === 'audit'],
    [{ case_id: 'CASE-17' }, ({ case_id }) => case_id === 'CASE-17'],
    [{ actor_id: 'agent-2' }, ({ actor }) => actor.actor_id === 'agent-2'],
    [{ type: 'lock.released' }, ({ type }) => type === 'lock.released'],
    [{ action_type: 'tool_call' }, ({ type }) => type === 'run.acted'],
    [{ outcome: 'failure' }, (_, { outcome }) => outcome === 'failure'],
    [{ since: second }, ({ time }) => time >= second],
    [{ until: third }, ({ time }) => time < third],
    [
      { since: second, until: third, type: 'lock.released' },
      (entry) => entry.type === 'lock.released' && entry.time === second,
    ],
    [{ cursor: 5 }, ({ seq }) => seq >= 5],
    [{ cursor: 99, since: second }, () => false],
  ]
  for (const [query, isWanted] of expected) {
    const wanted = entries.filter((entry) => isWanted(entry, renderedEvent(entry)))
    for (const limit of [1, 2, 1000]) {
      const found: number[] = []
      let cursor = query.cursor ?? 0
      for (let pages = 0; pages < 100; pages += 1) {
        const page = await ledger.audit.list({ ...query, cursor, limit })
        assert.ok(page.events.length <= limit)
        found.push(...page.events.map(({ sequence }) => sequence))
        cursor = page.next
        if (page.complete) break
      }
      assert.equal(
        found,
        wanted.map(({ seq }) => seq),
        JSON.stringify({ query, limit }),
      )
    }
  }
})

of('a cursor goes on where a list ended, when more was appended', async (ledger) => {
  const { next } = await ledger.audit.list()
  assert.equal((await ledger.audit.list({ cursor: next })).events, [])
  await ledger.audit.append({ events: [event] })
  assert.equal(
    (await ledger.audit.list({ cursor: next })).events.map(({ sequence }) => sequence),
    [next],
  )
  for (const query of [{ limit: 0 }, { cursor: -1 }, { since: 'yesterday' }, { outcome: 'maybe' }] as ListEvents[]) {
    assert.is(await codeOf(ledger.audit.list(query)), 'INVALID_INPUT')
  }
})

of('an event of a run stands in the run, while it runs', async (ledger) => {
  const { run_id } = await ledger.runs.create({ ...lane, run_kind: 'tool_gateway' })
  const note = { ...event, run_id, outcome_reason: 'half of it' }
  assert.is(await codeOf(ledger.audit.append({ events: [note] })), 'RUN_NOT_ACTIVE')
  await ledger.runs.start({ run_id })
  assert.is(await codeOf(ledger.audit.append({ events: [note], actor: other })), 'NOT_RUN_ACTOR')
  const { events } = await ledger.audit.append({ events: [note, { ...note, outcome: 'failure' }] })
  const [first, second] = await Promise.all(events.map(({ seq }) => ledger.log.entry({ seq })))
  assert.is(second?.prev.run, first?.seq)
  assert.equal([first?.stream, first?.case_id, first?.lane_id], [`run/${run_id}`, 'CASE-17', lane.lane_id])
  assert.is((await ledger.audit.list({ run_id })).events.at(-1)?.outcome, 'failure')
  await ledger.runs.complete({ run_id, outcome_reason: 'done' })
  assert.is(await codeOf(ledger.audit.append({ events: [{ ...note, notes: 'late' }] })), 'RUN_NOT_ACTIVE')
  assert.is(await codeOf(ledger.audit.append({ events: [{ ...event, run_id: 'run_of_nobody' }] })), 'NOT_FOUND')
})

of('an action of a run needs its decision, used once, and stands with other events in one append', async (ledger) => {
  const { run_id } = await ledger.runs.create({ ...lane, run_kind: 'tool_gateway' })
  await ledger.runs.start({ run_id })
  const action = { action_type: 'tool_call', outcome: 'success', run_id } as const
  for (const wrong of [
    action,
    { ...action, decision_id: 'evt_1', run_id: undefined },
    { ...action, decision_id: 'evt_1', outcome: 'allow' },
    { ...event, decision_id: 'evt_1' },
  ] as (typeof action)[]) {
    assert.is(await codeOf(ledger.audit.append({ events: [wrong] })), 'INVALID_INPUT')
  }
  assert.is(await codeOf(ledger.audit.append({ events: [{ ...event, run_id }, event] })), 'INVALID_INPUT')
  assert.is(
    await codeOf(ledger.audit.append({ events: [{ ...action, decision_id: 'evt_nobody_1' }] })),
    'DECISION_NOT_OPEN',
  )
  const decision_id = await allowed(ledger, run_id)
  const acted = { ...action, decision_id }
  const elsewhere = { ...acted, target: { name: 'dictation.stop', target_type: 'tool' } } as const
  assert.is(await codeOf(ledger.audit.append({ events: [elsewhere] })), 'DECISION_NOT_OPEN')
  assert.is(await codeOf(ledger.audit.append({ events: [acted, acted] })), 'DECISION_NOT_OPEN')
  const target = { name: 'dictation.start', operation: 'tool_call', target_type: 'tool' } as const
  const types = await typesAppended(ledger, () =>
    ledger.audit.append({
      events: [
        { ...event, run_id },
        { ...acted, target },
      ],
    }),
  )
  assert.equal(types, ['audit.recorded', 'run.acted'])
  assert.is(await codeOf(ledger.audit.append({ events: [acted] })), 'DECISION_NOT_OPEN')
  await ledger.runs.complete({ run_id, outcome_reason: 'done' })
})

of('a run whose lease is over is failed instead, and a repeat says so too', async (ledger, clock) => {
  const { run_id } = await ledger.runs.create({ ...lane, run_kind: 'tool_gateway' })
  await ledger.runs.start({ run_id, lease_duration_s: 60 })
  clock.advance(60_000)
  const late = () => ledger.audit.append({ events: [{ ...event, run_id }], idempotency_key: 'late' })
  assert.is(await codeOf(late()), 'RUN_LEASE_EXPIRED')
  assert.is((await ledger.runs.get({ run_id })).status, 'failed')
  assert.is(await codeOf(late()), 'RUN_LEASE_EXPIRED')
})

of('the same events again under a key are answered as the first time', async (ledger) => {
  const { run_id } = await ledger.runs.create({ ...lane, run_kind: 'tool_gateway' })
  await ledger.runs.start({ run_id })
  const append = (outcome_reason: string) =>
    ledger.audit.append({ events: [{ ...event, outcome_reason, run_id }], idempotency_key: 'key-1' })
  const first = await append('one')
  assert.equal(await append('one'), { ...first, replayed: true })
  assert.is(await codeOf(append('two')), 'IDEMPOTENCY_MISMATCH')
})

of('a member that is undefined is none', async (ledger) => {
  const { events } = await ledger.audit.append({
    events: [{ ...event, notes: undefined, run_id: undefined, target: undefined }],
  })
  assert.equal((await ledger.log.entry({ seq: events[0]?.seq ?? 0 })).data, { ...event, stated: true })
})

of('a correction names an event that is there', async (ledger) => {
  const { events } = await ledger.audit.append({ events: [{ ...event, outcome_reason: 'wrong file' }] })
  const corrects = events[0]?.event_id ?? ''
  await ledger.audit.append({ events: [{ ...event, corrects, outcome_reason: 'right file' }] })
  assert.is((await ledger.audit.list()).events.at(-1)?.corrects, corrects)
  for (const nothing of [corrects.replace(/\d+$/, '99'), 'evt_zzzzzzzzzzzz_0', 'evt_nonsense']) {
    assert.is(await codeOf(ledger.audit.append({ events: [{ ...event, corrects: nothing }] })), 'NOT_FOUND')
  }
})

audit.run()
