import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { mayMove } from '../../../src/domain/run/moves.ts'
import type { RunStatus } from '../../../src/kernel/vocabulary.ts'
import { runStatuses } from '../../../src/kernel/vocabulary.ts'
import { RunWorld } from './world.ts'

const test = suite('every state of a run and every requested state')
const run_id = 'run_pairs'
const error = { error_code: 'TEST', message: 'it failed', retryable: true }

/** What asks for each state. */
const asks: Record<RunStatus, (world: RunWorld) => ReturnType<RunWorld['run']>> = {
  created: (world) => world.create(run_id, { run_name: 'again' }),
  running: (world) => world.run('run.start', { run_id }),
  completed: (world) => world.run('run.complete', { run_id, outcome_reason: 'done', release_lock: false }),
  failed: (world) => world.run('run.fail', { run_id, outcome_reason: 'failed', error }),
  denied: (world) => world.run('run.deny', { run_id, outcome_reason: 'not now' }),
  cancelled: (world) => world.run('run.cancel', { run_id, outcome_reason: 'not needed' }),
}

/** A run in a state, by the shortest way. */
function worldIn(status: RunStatus): RunWorld {
  const world = new RunWorld()
  world.create(run_id)
  if (status === 'created') return world
  asks.running(world)
  if (status !== 'running') asks[status](world)
  assert.is(world.stateOf(run_id).status, status)
  return world
}

for (const from of runStatuses) {
  for (const to of runStatuses) {
    test(`${from} → ${to}: ${mayMove(from, to) ? 'moves' : 'is refused, recorded, and the record stays as it is'}`, () => {
      const world = worldIn(from)
      const before = JSON.stringify(world.recordOf(run_id))
      const { decision, entries } = asks[to](world)
      if (mayMove(from, to)) {
        assert.is(decision.kind, 'append', JSON.stringify(decision))
        assert.is(world.recordOf(run_id).status, to)
        return
      }
      assert.is(decision.kind === 'refuse' && decision.code, 'INVALID_STATE_TRANSITION')
      assert.is(JSON.stringify(world.recordOf(run_id)), before)
      assert.equal(
        entries.map(({ data, type }) => ({ type, code: data.code, move: data.move })),
        [{ type: 'run.refused', code: 'INVALID_STATE_TRANSITION', move: { from, to } }],
      )
    })
  }
}

test.run()
