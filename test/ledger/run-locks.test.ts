import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import { dictation } from '../core/run/world.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { codeOf, governedIn, startTool } from '../support/governed-runs.ts'
import { until } from './stage.ts'

const test = suite('runs, their leases and their locks')
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const

const governed = governedIn(test)

governed(
  'a run whose lease ends is failed by the next command on it, which is refused; then it can be retried',
  async (ledger, clock) => {
    const run_id = await startTool(ledger, { lease_duration_s: 60 })
    const { runs } = ledger
    const { decision_id } = await runs.authorize({ run_id, action: dictation })
    clock.advance(59_000)
    await runs.heartbeat({ run_id })
    clock.advance(60_000)
    assert.equal((await runs.list({ status: 'running' })).lease_expired, [run_id])
    const why = await runs.why({ run_id })
    assert.equal([why.lease_expired, why.lease_remaining_s], [true, 0])
    assert.equal(why.missing_events, [`tool_call of ${decision_id}`, 'the end'])
    const late = async () => {
      assert.is(await codeOf(runs.record({ run_id, decision_id, outcome: 'success' })), 'RUN_LEASE_EXPIRED')
    }
    assert.equal(await typesAppended(ledger, late), ['run.acted', 'run.failed'])
    const failed = await runs.get({ run_id })
    assert.equal(
      [failed.status, failed.error?.error_code, failed.error?.retryable],
      ['failed', 'RUN_LEASE_EXPIRED', true],
    )
    const before = JSON.stringify(failed)
    const again = await runs.retry({ run_id, retry_reason: 'the host is back' })
    assert.equal([again.parent_run_id, again.root_run_id, again.metadata?.retry_count], [run_id, 'run_top_1', 1])
    await runs.start({ run_id: again.run_id })
    await runs.fail({
      run_id: again.run_id,
      outcome_reason: 'again',
      error: { error_code: 'E1', message: 'it broke', retryable: true },
    })
    const third = await runs.retry({ run_id: again.run_id, retry_reason: 'once more' })
    assert.equal(
      [third.parent_run_id, third.metadata?.retry_of, third.metadata?.retry_count],
      [run_id, again.run_id, 2],
    )
    assert.is(JSON.stringify(await runs.get({ run_id })), before)
    assert.is(await codeOf(runs.retry({ run_id: 'run_top_1', retry_reason: 'no' })), 'RUN_NOT_RETRYABLE')
    for (const attempt of [run_id, again.run_id]) {
      assert.is(await codeOf(runs.retry({ run_id: attempt, retry_reason: 'twice' })), 'RUN_ALREADY_RETRIED')
    }
    const asked = { run_id: third.run_id, retry_reason: 'to the last', idempotency_key: 'retry-3' }
    await runs.start({ run_id: third.run_id })
    const error = { error_code: 'E1', message: 'it broke', retryable: true }
    await runs.fail({ run_id: third.run_id, outcome_reason: 'again', error })
    const both = await Promise.all([runs.retry(asked), runs.retry(asked)])
    assert.is(both[0]?.run_id, both[1]?.run_id)
  },
)

governed(
  'a run that holds a lock from its start records and completes only while that grant is current',
  async (ledger) => {
    const { runs } = ledger
    await runs.create({ run_id: 'run_locked', run_kind: 'orchestrator' })
    assert.is(await codeOf(runs.start({ run_id: 'run_locked', lock: 'reports' })), 'LOCK_NOT_HELD')
    const lease = await hold(ledger, { name: 'reports', holder: 'agent-1' })
    await runs.start({ run_id: 'run_locked', lock: 'reports' })
    assert.equal((await runs.why({ run_id: 'run_locked' })).lock, {
      name: 'resource:reports',
      token: lease.token,
      current: true,
    })
    await ledger.locks.break({ name: 'reports', reason: 'test', actor: becca })
    assert.is(await codeOf(runs.complete({ run_id: 'run_locked', outcome_reason: 'done' })), 'STALE_TOKEN')
    await runs.cancel({ run_id: 'run_locked', outcome_reason: 'lost its lock' })
    await hold(ledger, { name: 'reports', holder: 'agent-1' })
    await runs.create({ run_id: 'run_locked2', run_kind: 'orchestrator' })
    await runs.start({ run_id: 'run_locked2', lock: 'reports' })
    const done = () => runs.complete({ run_id: 'run_locked2', outcome_reason: 'done', release_lock: true })
    assert.equal(await typesAppended(ledger, done), ['lock.released', 'run.completed'])
    assert.is((await ledger.locks.status({ name: 'reports' })).state, 'free')
  },
)

governed('who waits for the lock of a run has it in the append that completes the run', async (ledger) => {
  const { runs } = ledger
  const { token } = await hold(ledger, { name: 'reports', holder: 'agent-1' })
  await runs.create({ run_id: 'run_locked', run_kind: 'orchestrator' })
  await runs.start({ run_id: 'run_locked', lock: 'reports' })
  const waiting = hold(ledger, { name: 'reports', holder: 'agent-2', actor: other, wait_s: 60 })
  await until('it waits', async () => (await ledger.locks.status({ name: 'reports' })).waiting === 1)
  const batches = ledger.counts.batches
  await runs.complete({ run_id: 'run_locked', outcome_reason: 'done', release_lock: true })
  assert.ok((await waiting).token > token)
  assert.is(ledger.counts.batches, batches + 1)
})

governed(
  'completing a run and releasing its project’s lock is one append, by the authority, on the run’s own state',
  async (ledger) => {
    const run_id = 'run_ACME_shop_2026-02-02_001'
    const { runs } = ledger
    await ledger.locks.acquire({ target_name: 'IAMBECCA | ACME | SITE | shop | NEO', run_id })
    const lock = 'project:ACME/SITE/shop'
    await runs.create({ run_id, run_kind: 'orchestrator' })
    await runs.start({ run_id, lock })
    const early = ledger.locks.release({ run_id, final_status: 'COMPLETE', actor: becca })
    assert.is(await codeOf(early), 'RELEASE_CONDITION_UNMET')
    assert.is(await codeOf(runs.complete({ run_id, outcome_reason: 'done', release_lock: true })), 'RELEASE_DENIED')
    const batches = ledger.counts.batches
    await runs.complete({ run_id, outcome_reason: 'done', release_lock: true, actor: becca })
    assert.is(ledger.counts.batches, batches + 1)
    const { data } = await lastOf(ledger, 'lock.released')
    assert.equal([data.evidence, data.condition_met, data.final_status], ['run_state', 'state == COMPLETE', 'COMPLETE'])
  },
)

governed('a tracked run’s state releases its project’s lock after the run, and nothing else does', async (ledger) => {
  const run_id = 'run_ACME_shop_2026-02-02_001'
  await ledger.locks.acquire({ target_name: 'IAMBECCA | ACME | SITE | shop | NEO', run_id })
  await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
  await ledger.runs.start({ run_id })
  assert.equal((await ledger.locks.list({ orphans: true })).locks, [])
  await ledger.runs.complete({ run_id, outcome_reason: 'done' })
  const [orphan] = (await ledger.locks.list({ orphans: true })).locks
  assert.is(orphan?.orphan_reason, 'its run is completed')
  await ledger.locks.release({ run_id, final_status: 'COMPLETE', actor: becca })
  assert.is((await lastOf(ledger, 'lock.released')).data.evidence, 'run_state')
})

test.run()
