import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { dictation, other, RunWorld, worker } from './world.ts'

const test = suite('the order of refusals')
const run_id = 'run_tool1'
const codeOf = ({ decision }: ReturnType<RunWorld['run']>) =>
  decision.kind === 'refuse' ? decision.code : decision.kind
const artifact = { artifact_id: 'art-1', artifact_kind: 'notes', hash_sha256: 'ab'.repeat(32) }
const record = { run_id, decision_id: 'evt_testledger00_99', outcome: 'failure' as const }
const complete = { run_id, outcome_reason: 'done', release_lock: false }

/** A running run whose lock was taken over by somebody else. */
function withLostLock(): { world: RunWorld; decisionId: string } {
  const world = new RunWorld()
  const acquire = (lock_ref: string) => ({
    type: 'lock.acquire' as const,
    name: 'resource:reports',
    holder: 'agent-1',
    lock_ref,
    lease_duration_s: 10,
    evidence: [],
  })
  world.command(acquire('1'.repeat(16)), worker)
  world.startedTool('resource:reports')
  const decisionId = world.run('run.authorize', { run_id, action: dictation }).entries[0]?.event_id ?? ''
  world.clock.advance(10_000)
  world.command(acquire('2'.repeat(16)), other)
  return { world, decisionId }
}

test('a caller who may not act on a run is refused first, and does not even fail a run whose lease is over', () => {
  const world = new RunWorld()
  world.startedTool()
  world.clock.advance(60_000)
  assert.is(codeOf(world.run('run.complete', complete, other)), 'NOT_RUN_ACTOR')
  assert.is(world.stateOf(run_id).status, 'running')
  const { entries } = world.run('run.complete', complete)
  assert.equal(
    entries.map(({ type }) => type),
    ['run.failed'],
  )
  assert.is(codeOf(world.run('run.complete', complete)), 'INVALID_STATE_TRANSITION')
})

test('the ledger ends an expired lease exactly as the next command would, whoever acts, and else does nothing', () => {
  const [swept, commanded] = [new RunWorld(), new RunWorld()]
  for (const world of [swept, commanded]) {
    world.startedTool()
    world.run('run.authorize', { run_id, action: dictation })
    world.clock.advance(59_999)
  }
  assert.equal(swept.run('run.expire', { run_id }).entries, [])
  assert.equal(swept.run('run.expire', { run_id: 'run_top_1' }).entries, [])
  assert.equal(swept.run('run.expire', { run_id: 'run_none1' }).decision, { kind: 'append', events: [] })
  for (const world of [swept, commanded]) world.clock.advance(1)
  const { entries } = swept.run('run.expire', { run_id })
  assert.equal(
    entries.map(({ type }) => type),
    ['run.acted', 'run.failed'],
  )
  assert.equal(entries, commanded.run('run.heartbeat', { run_id }).entries)
  assert.equal(swept.run('run.expire', { run_id }, other).entries, [])
  assert.is(codeOf(swept.run('run.retry', { run_id, new_run_id: 'run_tool2', retry_reason: 'late' })), 'append')
})

test('a record: the state of the run, then its lock, then the decision, then the outputs', () => {
  const { decisionId, world } = withLostLock()
  assert.is(codeOf(world.run('run.record', record)), 'STALE_TOKEN')
  const good = new RunWorld()
  good.startedTool()
  assert.is(codeOf(good.run('run.record', { ...record, output_artifacts: [artifact] })), 'DECISION_NOT_OPEN')
  const decision_id = good.run('run.authorize', { run_id, action: dictation }).entries[0]?.event_id ?? ''
  assert.is(codeOf(good.run('run.record', { ...record, decision_id, output_artifacts: [artifact] })), 'OUTPUTS_DENIED')
  world.run('run.cancel', { run_id, outcome_reason: 'over' })
  assert.is(codeOf(world.run('run.record', { ...record, decision_id: decisionId })), 'RUN_NOT_ACTIVE')
})

test('a completion: the move, then the lock, then what is owed, then the lock that is to be released', () => {
  const { world } = withLostLock()
  assert.is(codeOf(world.run('run.complete', complete)), 'STALE_TOKEN')
  const good = new RunWorld()
  good.startedTool()
  good.run('run.authorize', { run_id, action: dictation })
  assert.is(codeOf(good.run('run.complete', { ...complete, release_lock: true })), 'RUN_HAS_OPEN_ACTION')
  const decision_id = good.stateOf(run_id).open[0]?.decision_id ?? ''
  good.run('run.record', { ...record, decision_id })
  assert.is(codeOf(good.run('run.complete', { ...complete, release_lock: true })), 'INVALID_INPUT')
  assert.is(codeOf(good.run('run.complete', complete)), 'append')
})

test('a lost lock prevents no other end of the run', () => {
  for (const type of ['run.cancel', 'run.deny'] as const) {
    const { world } = withLostLock()
    assert.is(codeOf(world.run(type, { run_id, outcome_reason: 'over' })), 'append')
  }
})

test('a heartbeat: the state of the run, then its lease', () => {
  const world = new RunWorld()
  world.create('run_top_1')
  assert.is(codeOf(world.run('run.heartbeat', { run_id: 'run_top_1' })), 'RUN_NOT_ACTIVE')
  world.run('run.start', { run_id: 'run_top_1' })
  assert.is(codeOf(world.run('run.heartbeat', { run_id: 'run_top_1' })), 'INVALID_INPUT')
  assert.is(codeOf(world.run('run.heartbeat', { run_id: 'run_no_such' })), 'NOT_FOUND')
})

test('a tree has a maximum size', () => {
  const world = new RunWorld(false)
  const idOf = (depth: number) => `run_depth_${depth}`
  world.create(idOf(1))
  for (let depth = 2; depth <= 64; depth += 1) {
    assert.is(codeOf(world.create(idOf(depth), { parent_run_id: idOf(depth - 1) })), 'append')
  }
  assert.is(codeOf(world.create(idOf(65), { parent_run_id: idOf(64) })), 'LIMIT_EXCEEDED')
})

test.run()
