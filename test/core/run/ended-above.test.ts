import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { dictation, RunWorld } from './world.ts'

const test = suite('what a run may still do below an ended run')
const done = { outcome_reason: 'over' }
const error = { error_code: 'E1', message: 'it broke', retryable: true }
const lane = { case_id: 'CASE-17', lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT' }

/** Each way to end the root, and what it is then. */
const ends: [status: string, end: (world: RunWorld) => void][] = [
  ['denied', (world) => world.run('run.deny', { run_id: 'run_root1', ...done })],
  ['cancelled', (world) => world.run('run.cancel', { run_id: 'run_root1', ...done })],
  ['failed', (world) => world.run('run.fail', { run_id: 'run_root1', error, ...done })],
  ['completed', (world) => world.run('run.complete', { run_id: 'run_root1', release_lock: false, ...done })],
]

/** A root, an orchestrator below it, and a tool run below that: two runs away from the root, with an open action. */
function begun(): { world: RunWorld; decision_id: string } {
  const world = new RunWorld()
  world.create('run_root1')
  world.run('run.start', { run_id: 'run_root1' })
  world.create('run_mid_1', { parent_run_id: 'run_root1' })
  world.run('run.start', { run_id: 'run_mid_1' })
  for (const id of ['run_tool1', 'run_tool2']) {
    world.create(id, { ...lane, parent_run_id: 'run_mid_1', run_kind: 'tool_gateway' })
  }
  world.run('run.start', { run_id: 'run_tool1', lease_duration_s: 60 })
  const { entries } = world.run('run.authorize', { run_id: 'run_tool1', action: dictation })
  return { world, decision_id: entries[0]?.event_id ?? '' }
}

type Answer = ReturnType<RunWorld['run']>

/** Refused for the root, by name; the refusal is on record as a deny, and the run is as before. */
function refusedFor(status: string, { decision, entries }: Answer): void {
  ok(decision.kind === 'refuse', 'refused')
  is(decision.code, 'RUN_ANCESTOR_ENDED')
  equal([decision.details.ancestor_run_id, decision.details.ancestor_status], ['run_root1', status])
  match(decision.message, `run_root1, which is ${status}`)
  equal(
    entries.map(({ type, data }) => [type, data.code]),
    [['run.refused', 'RUN_ANCESTOR_ENDED']],
  )
}

for (const [status, end] of ends) {
  test(`no start, no allow, no heartbeat, no child, no retry and no completion below a root that is ${status}`, () => {
    const { world } = begun()
    world.create('run_old_1', { parent_run_id: 'run_mid_1' })
    world.run('run.start', { run_id: 'run_old_1' })
    world.run('run.fail', { run_id: 'run_old_1', error, ...done })
    end(world)
    refusedFor(status, world.run('run.start', { run_id: 'run_tool2' }))
    refusedFor(status, world.run('run.authorize', { run_id: 'run_tool1', action: dictation }))
    refusedFor(status, world.run('run.heartbeat', { run_id: 'run_tool1' }))
    refusedFor(status, world.create('run_new_1', { parent_run_id: 'run_mid_1' }))
    refusedFor(status, world.create('run_new_1', { parent_run_id: 'run_root1' }))
    refusedFor(status, world.run('run.retry', { run_id: 'run_old_1', new_run_id: 'run_old_2', retry_reason: 'x' }))
    refusedFor(status, world.run('run.complete', { run_id: 'run_mid_1', release_lock: false, ...done }))
    equal([world.stateOf('run_tool1').status, world.stateOf('run_tool2').status], ['running', 'created'])
  })

  test(`the outcome of an earlier allow, a failure and a cancellation are recorded below a root that is ${status}`, () => {
    const { decision_id, world } = begun()
    end(world)
    is(world.run('run.record', { run_id: 'run_tool1', decision_id, outcome: 'success' }).entries[0]?.type, 'run.acted')
    world.run('run.fail', { run_id: 'run_tool1', error, ...done })
    world.run('run.cancel', { run_id: 'run_tool2', ...done })
    world.run('run.deny', { run_id: 'run_mid_1', ...done })
    equal(
      ['run_tool1', 'run_tool2', 'run_mid_1'].map((id) => world.stateOf(id).status),
      ['failed', 'cancelled', 'denied'],
    )
  })
}

test('a root whose lease is over is failed by the first command below it that would add work', () => {
  const { world } = begun()
  world.create('run_root2')
  world.run('run.start', { run_id: 'run_root2', lease_duration_s: 30 })
  world.create('run_mid_2', { parent_run_id: 'run_root2' })
  world.run('run.start', { run_id: 'run_mid_2' })
  world.create('run_low_2', { parent_run_id: 'run_mid_2' })
  world.clock.advance(31_000)
  const { entries } = world.run('run.start', { run_id: 'run_low_2' })
  equal(
    entries.map(({ run_id, type }) => [run_id, type]),
    [['run_root2', 'run.failed']],
  )
  is(world.run('run.start', { run_id: 'run_low_2' }).decision.kind, 'refuse')
})

test('the retry of a failed run works below it, and stops with the runs above', () => {
  const { world } = begun()
  world.run('run.fail', { run_id: 'run_mid_1', error, ...done })
  world.run('run.retry', { run_id: 'run_mid_1', new_run_id: 'run_mid_2', retry_reason: 'again' })
  is(world.run('run.start', { run_id: 'run_mid_2' }).entries[1]?.type, 'run.started')
  world.create('run_tool3', { ...lane, parent_run_id: 'run_mid_2', run_kind: 'tool_gateway' })
  is(world.run('run.start', { run_id: 'run_tool3' }).entries[1]?.type, 'run.started')
  const action = { ...dictation, scope: { ...dictation.scope, run_id: 'run_tool3' } }
  is(world.run('run.authorize', { run_id: 'run_tool3', action }).entries[0]?.data.decision, 'allow')
  world.run('run.cancel', { run_id: 'run_root1', ...done })
  refusedFor('cancelled', world.run('run.authorize', { run_id: 'run_tool3', action }))
})

test.run()
