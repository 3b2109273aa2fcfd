import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { Decision, Refusal } from '../../kernel/decider.ts'
import { authorizeOutputs } from '../policy/authorize.ts'
import { append, durationMillis, laneOf, type RunCase, refused, unrecordedEvents } from './case.ts'
import { decidedEvent, deniedEvent } from './decided.ts'
import { factsOfPinned } from './facts.ts'
import type { OpenAction } from './state.ts'

/**
 * The deny of outputs that may not be recorded; undefined if all may. The decision, the missing action events and the
 * run's move to denied are one append. Nothing is recorded as an output. `action` is the allowed action that produced
 * the outputs; without it, they are outputs of the run as it ends.
 */
export function deniedOutputs(
  of: RunCase,
  outputs: readonly ArtifactRef[] | undefined,
  { action, command }: { action?: OpenAction; command: string },
): Decision | undefined {
  if (outputs === undefined || outputs.length === 0) return undefined
  const { context, run } = of
  const asked = action && { action_type: action.action_type, target: { name: action.target.name } }
  const facts = factsOfPinned(run, context.actor.actor_type)
  const verdict = authorizeOutputs(facts, laneOf(of), { action: asked, outputs })
  if (verdict.decision === 'allow') return undefined
  const target = action?.target ?? { name: run.run_id, operation: command, target_type: 'run' as const }
  const decided = decidedEvent(
    run.run_id,
    { artifacts: [...outputs], on: action?.action_type ?? 'outputs', target },
    verdict,
  )
  return append(of, [decided, ...unrecordedEvents(run), deniedEvent(run.run_id, durationMillis(of), verdict)])
}

/** OUTPUTS_DENIED, recorded: the lane of the run does not allow outputs from failures. */
export function refusedOutputs(of: RunCase, command: string): Refusal {
  const message = `the lane ${of.run.lane_id} does not allow outputs from failures`
  return refused(of, { code: 'OUTPUTS_DENIED', command, message })
}
