import { suite } from 'uvu'
import { is, ok } from 'uvu/assert'
import { createRunSchema } from '../../../src/domain/run/commands.ts'
import { runEventSchemas } from '../../../src/domain/run/events.ts'
import { recordOf } from '../../../src/domain/run/record.ts'
import { RunWorld } from './world.ts'

const test = suite('the phase of a run')

test('is derived from the events, never what a caller says', () => {
  ok(!createRunSchema.safeParse({ run_kind: 'orchestrator', phase: 'RUN_COMPLETED' }).success)
  const world = new RunWorld()
  world.create('run_0001')
  const state = world.stateOf('run_0001')
  // Earlier versions recorded the phase that a caller named.
  const data = { ...state.manifest, phase: 'RUN_COMPLETED' }
  ok(runEventSchemas['run.created'].safeParse(data).success)
  is(recordOf({ ...state, manifest: data }).phase, undefined)
  const turns = { last: 0, last_seq: null, open: null, phase: 'TURN_STAGED' as const }
  is(recordOf({ ...state, manifest: data, turns }).phase, 'TURN_STAGED')
})

test.run()
