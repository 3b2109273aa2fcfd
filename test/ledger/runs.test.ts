import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runRecordSchema } from '../../src/domain/run/run-record.ts'
import { hold } from '../../src/lease.ts'
import { perform } from '../../src/nouns/runs/performing.ts'
import { sanitized as sanitizedArtifact } from '../core/questions.ts'
import { dictation } from '../core/run/world.ts'
import { entriesOf, lastOf, typesAppended } from '../support/entries.ts'
import { codeOf, governedIn, of, startTool } from '../support/governed-runs.ts'
import { testActor, withLedger } from '../support/ledger.ts'

const test = suite('runs')
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const
const sha = 'ab'.repeat(32)
const artifact = { artifact_id: 'art-1', artifact_kind: 'transcript', hash_sha256: sha }

const governed = governedIn(test)

governed('every answer is a run_record, and every entry says whose it is', async (ledger) => {
  const run_id = await startTool(ledger, { lease_duration_s: 60 })
  const { runs } = ledger
  const { decision_id } = await runs.authorize({ run_id, action: dictation })
  const records = [
    await runs.heartbeat({ run_id }),
    await runs.record({ run_id, decision_id, outcome: 'success', output_artifacts: [artifact] }),
    await runs.complete({ run_id, outcome_reason: 'done' }),
    await runs.get({ run_id: 'run_top_1' }),
    ...(await runs.list()).runs,
  ]
  for (const record of records) assert.equal(runRecordSchema.parse(record), JSON.parse(JSON.stringify(record)))
  assert.equal(records[2]?.outputs?.artifact_refs, [artifact])
  const { lanes, roles } = await ledger.policy.show()
  const entries = (await entriesOf(ledger)).filter((entry) => entry.run_id === run_id)
  let before: number | null = null
  for (const [index, entry] of entries.entries()) {
    assert.is(entry.parent_run_id, 'run_top_1')
    assert.is(entry.root_run_id, 'run_top_1')
    assert.is(entry.case_id, 'CASE-17')
    assert.is(entry.lane_id, of.lane_id)
    assert.equal(entry.policy_versions, { lanes: lanes.pin, roles: roles.pin }, `${index}`)
    assert.is(entry.prev.run, before)
    before = entry.seq
  }
  assert.is(entries.length, 7)
})

governed('a start is a decision and a move, a deny a decision and the end, each in one append', async (ledger) => {
  const { runs } = ledger
  await runs.create({ ...of, run_id: 'run_tool1', parent_run_id: 'run_top_1', run_kind: 'tool_gateway' })
  const batches = ledger.counts.batches
  assert.equal(await typesAppended(ledger, () => runs.start({ run_id: 'run_tool1' })), ['run.decided', 'run.started'])
  assert.is(ledger.counts.batches, batches + 1)
  await runs.authorize({ run_id: 'run_tool1', action: dictation })
  const action = { ...dictation, target: { name: 'rm.all' } }
  const appended = await typesAppended(ledger, async () => {
    const { decision, reason, rule_ids } = await runs.authorize({ run_id: 'run_tool1', action })
    assert.equal([decision, reason, rule_ids[0]], ['deny', 'not_permitted', 'lane:TOOL_INTERVIEW_CAPTURE/tools'])
  })
  assert.equal(appended, ['run.decided', 'run.acted', 'run.denied'])
  assert.is(ledger.counts.batches, batches + 3)
  assert.is((await lastOf(ledger, 'run.acted')).data.outcome_reason, 'unrecorded')
  assert.is(await codeOf(runs.authorize({ run_id: 'run_tool1', action: dictation })), 'RUN_NOT_ACTIVE')
  assert.is((await lastOf(ledger, 'run.refused')).data.code, 'RUN_NOT_ACTIVE')
})

governed(
  'each move that is refused is recorded with where it came from and led to, and none of them twice',
  async (ledger) => {
    const { runs } = ledger
    const run_id = 'run_top_1'
    await runs.complete({ run_id, outcome_reason: 'done' })
    const before = JSON.stringify(await runs.get({ run_id }))
    const error = { error_code: 'E1', message: 'it broke', retryable: false }
    const moves: [to: string, ask: () => Promise<unknown>][] = [
      ['created', () => runs.create({ run_id, run_kind: 'orchestrator' })],
      ['running', () => runs.start({ run_id })],
      ['completed', () => runs.complete({ run_id, outcome_reason: 'done' })],
      ['failed', () => runs.fail({ run_id, outcome_reason: 'broke', error })],
      ['denied', () => runs.deny({ run_id, outcome_reason: 'no' })],
      ['cancelled', () => runs.cancel({ run_id, outcome_reason: 'no' })],
    ]
    for (const [to, ask] of [...moves, ...moves]) assert.is(await codeOf(ask()), 'INVALID_STATE_TRANSITION', to)
    const { events } = await ledger.audit.list({ run_id, type: 'run.refused' })
    assert.equal(
      events.map(({ action_type, outcome, outcome_reason, transition }) => [
        action_type,
        outcome,
        outcome_reason,
        transition?.from,
        transition?.to,
      ]),
      moves.map(([to]) => ['system', 'failure', 'INVALID_STATE_TRANSITION', 'completed', to]),
    )
    assert.is(JSON.stringify(await runs.get({ run_id })), before)
  },
)

governed(
  'why: what a run owes, which rule denied it, its lock, its lease and its moves, at every step',
  async (ledger, clock) => {
    const { runs } = ledger
    await hold(ledger, { name: 'reports', holder: 'agent-1' })
    await runs.create({ ...of, run_id: 'run_tool1', parent_run_id: 'run_top_1', run_kind: 'tool_gateway' })
    const run_id = 'run_tool1'
    const owed = async () => (await runs.why({ run_id })).missing_events
    assert.equal(
      [await owed(), (await runs.why({ run_id })).moves],
      [['the start'], ['running', 'denied', 'cancelled']],
    )
    await runs.start({ run_id, lease_duration_s: 60, lock: 'reports' })
    clock.advance(20_500)
    const { decision_id } = await runs.authorize({ run_id, action: dictation })
    const { last_event, lease_expired, lease_remaining_s, lock, moves } = await runs.why({ run_id })
    assert.equal(await owed(), [`tool_call of ${decision_id}`, 'the end'])
    assert.equal([last_event.type, lease_expired, lease_remaining_s, lock?.current], ['run.decided', false, 40, true])
    assert.equal(moves, ['completed', 'failed', 'denied', 'cancelled'])
    const action = { ...dictation, scope: {} }
    const denied = await runs.authorize({ run_id, action })
    const { missing, rule_ids } = denied
    // However many refusals come after.
    for (let index = 0; index < 40; index += 1) {
      const actor = { actor_id: `agent-${index + 10}`, actor_type: 'agent' } as const
      assert.is(await codeOf(runs.cancel({ run_id, outcome_reason: 'no', actor })), 'NOT_RUN_ACTOR')
    }
    const after = await runs.why({ run_id })
    assert.equal(after.denied, { decision_id: denied.decision_id, missing, reason: 'missing_scope', rule_ids })
    assert.equal(missing, ['case_id', 'client_session_id', 'run_id'])
    assert.equal(
      [after.last_event.code, after.lease_remaining_s, after.moves, await owed()],
      ['NOT_RUN_ACTOR', null, [], []],
    )
    await runs.deny({ run_id: 'run_top_1', outcome_reason: 'by hand' })
    assert.equal((await runs.why({ run_id: 'run_top_1' })).denied, {
      decision_id: null,
      missing: [],
      reason: null,
      rule_ids: [],
    })
  },
)

governed('another agent’s run cannot be denied, ended or added to; each attempt is recorded', async (ledger) => {
  const run_id = await startTool(ledger)
  const { runs } = ledger
  const before = JSON.stringify(await runs.get({ run_id }))
  const calls = [
    runs.authorize({ run_id, action: { ...dictation, scope: {} }, actor: other }),
    runs.deny({ run_id, outcome_reason: 'no', actor: other }),
    runs.cancel({ run_id, outcome_reason: 'no', actor: other }),
    runs.create({ run_id: 'run_child1', parent_run_id: run_id, run_kind: 'agent', actor: other }),
  ]
  for (const call of calls) assert.is(await codeOf(call), 'NOT_RUN_ACTOR')
  assert.is(JSON.stringify(await runs.get({ run_id })), before)
  const refusals = (await entriesOf(ledger)).filter(({ type }) => type === 'run.refused')
  assert.is(refusals.length, 4)
  await runs.cancel({ run_id, outcome_reason: 'over', actor: becca })
  assert.is((await runs.get({ run_id })).outcome, 'cancelled: over')
})

governed('the actor of the run above may act on a run made for another', async (ledger) => {
  const { runs } = ledger
  const made = { run_id: 'run_child1', parent_run_id: 'run_top_1', run_kind: 'agent' as const, run_actor: other }
  await runs.create({ ...of, ...made })
  assert.is((await runs.get({ run_id: 'run_child1' })).actor?.actor_id, 'agent-2')
  await runs.start({ run_id: 'run_child1', actor: other })
  assert.is(await codeOf(runs.complete({ run_id: 'run_top_1', outcome_reason: 'no', actor: other })), 'NOT_RUN_ACTOR')
  await runs.complete({ run_id: 'run_child1', outcome_reason: 'done' })
})

governed('a child inherits, and is denied if it brings others', async (ledger) => {
  const { runs } = ledger
  const child = (facts: object) => runs.create({ parent_run_id: run_id, run_kind: 'orchestrator', ...facts })
  const { run_id } = await runs.create({ run_kind: 'orchestrator', case_id: 'CASE-17', correlation_id: 'req-1' })
  await runs.start({ run_id })
  const good = await child({})
  assert.equal([good.case_id, good.correlation_id, good.root_run_id], ['CASE-17', 'req-1', run_id])
  assert.equal(good.policy_versions, (await runs.get({ run_id })).policy_versions)
  for (const brought of [{ case_id: 'CASE-18' }, { correlation_id: 'req-2' }, { root_run_id: 'run_top_1' }]) {
    const denied = async () => assert.is(await codeOf(child(brought)), 'RUN_DENIED')
    assert.equal(await typesAppended(ledger, denied), ['run.created', 'run.decided', 'run.denied'])
  }
  const pins = { lanes: '1'.repeat(40) }
  assert.is(await codeOf(runs.start({ run_id: good.run_id, policy_versions: pins })), 'RUN_DENIED')
  assert.equal((await runs.why({ run_id: good.run_id })).denied?.rule_ids, ['inherited/policy_versions/lanes'])
})

governed(
  'complete refuses an allow that was never recorded; an allow is recorded once, as what it was',
  async (ledger) => {
    const run_id = await startTool(ledger)
    const { runs } = ledger
    const { decision_id } = await runs.authorize({ run_id, action: dictation })
    assert.is(await codeOf(runs.complete({ run_id, outcome_reason: 'done' })), 'RUN_HAS_OPEN_ACTION')
    const wrong = { run_id, decision_id, outcome: 'success', target: { name: 'dictation.stop' } } as const
    assert.is(await codeOf(runs.record(wrong)), 'DECISION_NOT_OPEN')
    const failure = { run_id, decision_id, outcome: 'failure' as const, output_artifacts: [artifact] }
    assert.is(await codeOf(runs.record(failure)), 'OUTPUTS_DENIED')
    await runs.record({ ...wrong, target: { name: 'dictation.start' } })
    assert.is(await codeOf(runs.record({ run_id, decision_id, outcome: 'success' })), 'DECISION_NOT_OPEN')
    await runs.complete({ run_id, outcome_reason: 'done' })
  },
)

governed('perform is a whole run around its work, also where the work fails or is denied', async (ledger) => {
  const { runs } = ledger
  const { run_id: _, ...scope } = dictation.scope
  const request = {
    parent_run_id: 'run_top_1',
    role_id: of.role_id,
    case_id: of.case_id,
    action: { ...dictation, scope },
  }
  const { result, run } = await perform(ledger, request, ({ decision }) => ({ decision, output_artifacts: [artifact] }))
  assert.equal([result.decision, run.status, run.outputs?.artifact_refs], ['allow', 'completed', [artifact]])
  const failing = perform(ledger, { ...request, run_id: 'run_fails1' }, () =>
    Promise.reject(new Error('no \u0007 sound')),
  )
  assert.is(await failing.catch((error: Error) => error.message), 'no \u0007 sound')
  assert.equal(
    [(await runs.get({ run_id: 'run_fails1' })).status, (await runs.get({ run_id: 'run_fails1' })).error?.message],
    ['failed', 'the work failed: no   sound'],
  )
  let isCalled = false
  const denied = perform(ledger, { ...request, action: { ...dictation, scope: {} } }, () => {
    isCalled = true
  })
  assert.is(await codeOf(denied), 'RUN_DENIED')
  assert.not(isCalled)
  const { size } = await ledger.head.get()
  assert.is(await codeOf(perform(ledger, request, undefined as never)), 'INVALID_INPUT')
  assert.is((await ledger.head.get()).size, size)
})

governed(
  'the same key and content again is answered by the first entries, also a deny; other content is refused',
  async (ledger) => {
    const { runs } = ledger
    const request = { run_kind: 'orchestrator', idempotency_key: 'k-1', run_name: 'once' } as const
    const { run_id } = await runs.create(request)
    assert.is((await runs.create(request)).run_id, run_id)
    assert.is(await codeOf(runs.create({ ...request, run_name: 'twice' })), 'IDEMPOTENCY_MISMATCH')
    const { run_id: bad } = await runs.create({ run_kind: 'agent' })
    const start = { run_id: bad, idempotency_key: 'k-2' }
    assert.equal(await typesAppended(ledger, async () => codeOf(runs.start(start))), ['run.decided', 'run.denied'])
    assert.equal(await typesAppended(ledger, async () => assert.is(await codeOf(runs.start(start)), 'RUN_DENIED')), [])
  },
)

governed('lists by kind, state, case, lane, actor and time, in pages; a tree is what stands below', async (ledger) => {
  const run_id = await startTool(ledger)
  const { runs } = ledger
  const idsOf = async (asked: Parameters<typeof runs.list>[0]) => (await runs.list(asked)).runs.map((run) => run.run_id)
  assert.equal(await idsOf({}), ['run_top_1', run_id])
  assert.equal(await idsOf({ run_kind: 'orchestrator' }), ['run_top_1'])
  assert.equal(await idsOf({ case_id: 'CASE-17', lane_id: of.lane_id, status: 'running' }), [run_id])
  assert.equal(await idsOf({ actor_id: testActor.actor_id, until: '2026-01-01T00:00:00Z' }), [])
  const page = await runs.list({ limit: 1 })
  assert.equal([page.runs.length, page.next], [1, 'run_top_1'])
  assert.equal(await idsOf({ limit: 1, cursor: page.next ?? '' }), [run_id])
  assert.is(await codeOf(runs.list({ cursor: 'run_nobody' })), 'NOT_FOUND')
  const tree = await runs.tree({ run_id: 'run_top_1' })
  assert.equal(
    tree.children.map(({ children, run }) => [run.run_id, children.length]),
    [[run_id, 0]],
  )
})

governed('write_broker is db_write on input, and nowhere else', async (ledger) => {
  const { run_kind } = await ledger.runs.create({ run_kind: 'write_broker', run_id: 'run_broker' })
  assert.is(run_kind, 'db_write')
  for (const asked of ['write_broker', 'db_write'] as const) {
    assert.equal(
      (await ledger.runs.list({ run_kind: asked })).runs.map(({ run_id }) => run_id),
      ['run_broker'],
    )
  }
  assert.equal(
    (await entriesOf(ledger)).filter(({ data }) => JSON.stringify(data).includes('write_broker')),
    [],
  )
})

governed(
  'a promotion needs its ticket and a signoff, takes no marked artifacts, and says what it put out',
  async (ledger) => {
    const { runs } = ledger
    const actor = { actor_id: 'ana', actor_type: 'human' } as const
    const ofLane = { lane_id: 'PROMOTE_SHARED_KNOWLEDGE', role_id: 'ATTORNEY_ADMIN', run_kind: 'promotion' } as const
    const sanitized = sanitizedArtifact({ artifact_kind: 'playbook' })
    const target = { name: 'shared_playbooks', mode: 'append' }
    const promote = async (scope: Record<string, string | boolean>, more: object = {}) => {
      const { run_id } = await runs.create({ ...ofLane, actor })
      await runs.start({ run_id, actor })
      const of = { artifacts: [sanitized], lane_id: ofLane.lane_id, scope: { ...scope, run_id }, target }
      const action = { action_type: 'promotion' as const, ...of }
      return { run_id, ...(await runs.authorize({ run_id, actor, action: { ...action, ...more } })) }
    }
    const scope = { promotion_ticket_id: 'PT-1', attorney_signoff: true }
    const marked = (confidentiality: object) => ({ artifacts: [{ ...sanitized, confidentiality }] })
    const denied: [Awaited<ReturnType<typeof promote>>, string, string][] = [
      [await promote({ attorney_signoff: true }), 'missing_scope', 'promotion_ticket_id'],
      [await promote({ promotion_ticket_id: 'PT-1', attorney_signoff: 'yes' }), 'missing_scope', 'attorney_signoff'],
      [await promote(scope, marked({ contains_pii: true })), 'forbidden', 'client_identity'],
      [await promote(scope, marked({ contains_privileged: true })), 'forbidden', 'privileged_notes'],
      [await promote(scope, { effects: ['raw_case_text'] }), 'forbidden', 'raw_case_text'],
    ]
    for (const [{ decision, reason, rule_ids, run_id }, wanted, rule] of denied) {
      assert.equal([decision, reason, (await runs.get({ run_id })).status], ['deny', wanted, 'denied'], rule)
      assert.ok(
        rule_ids.some((id) => id.endsWith(`/${rule}`)),
        rule_ids.join(),
      )
      assert.equal((await ledger.audit.list({ run_id, action_type: 'promotion' })).events, [])
    }
    const { decision_id, run_id } = await promote(scope, { artifacts: [sanitized] })
    await runs.record({ run_id, actor, decision_id, outcome: 'success', output_artifacts: [sanitized] })
    const [event] = (await ledger.audit.list({ run_id, action_type: 'promotion' })).events
    assert.equal(JSON.parse(JSON.stringify([event?.outcome, event?.output_artifacts])), ['success', [sanitized]])
  },
)

governed('free text is refused where the lane prohibits raw case text', async (ledger) => {
  const { runs } = ledger
  const human = { actor_id: 'ana', actor_type: 'human' } as const
  const run = {
    lane_id: 'PROMOTE_SHARED_KNOWLEDGE',
    role_id: 'ATTORNEY_ADMIN',
    run_kind: 'promotion',
    actor: human,
  } as const
  assert.is(await codeOf(runs.create({ ...run, notes: 'what the client said' })), 'RUN_DENIED')
  const { run_id } = await runs.create(run)
  await runs.start({ run_id, actor: human })
  const action = {
    action_type: 'promotion' as const,
    lane_id: run.lane_id,
    artifacts: [sanitizedArtifact()],
    scope: { promotion_ticket_id: 'PT-1', run_id, attorney_signoff: true },
    target: { name: 'shared_playbooks', mode: 'append' },
  }
  const { decision_id, decision } = await runs.authorize({ run_id, action, actor: human })
  assert.is(decision, 'allow')
  const output_artifacts = [sanitizedArtifact()]
  const record = { run_id, decision_id, outcome: 'success' as const, output_artifacts, actor: human }
  assert.is(await codeOf(runs.record({ ...record, outcome_reason: 'the client said' })), 'FREE_TEXT_DENIED')
  await runs.record({ ...record, outcome_reason: 'sanitized' })
  assert.is(await codeOf(runs.complete({ run_id, outcome_reason: 'all good', actor: human })), 'FREE_TEXT_DENIED')
  await runs.complete({ run_id, outcome_reason: 'promoted', actor: human })
})

test('without a policy no run starts, and it says so', async () => {
  await withLedger(async (ledger) => {
    const { run_id } = await ledger.runs.create({ run_kind: 'orchestrator' })
    assert.is(await codeOf(ledger.runs.start({ run_id })), 'RUN_DENIED')
    assert.equal((await ledger.runs.why({ run_id })).denied?.rule_ids, [
      'policy_unreadable',
      'pin_missing:lanes',
      'pin_missing:roles',
    ])
    assert.equal((await ledger.runs.get({ run_id })).policy_versions, { lanes: 'UNPINNED', roles: 'UNPINNED' })
  })
})

test.run()
