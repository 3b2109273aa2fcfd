import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { Decision, Refusal } from '../../kernel/decider.ts'
import { authorizeInputs, authorizeOutputs, type PolicyVerdict } from '../policy/authorize.ts'
import type { RunFacts } from '../policy/checks.ts'
import type { Lane } from '../policy/policy.ts'
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
  const asked = action && { action_type: action.action_type, target: { name: action.target.name } }
  return deniedFor(of, outputs, { action, command }, (facts, lane, artifacts) =>
    authorizeOutputs(facts, lane, { action: asked, outputs: artifacts }),
  )
}

/** The deny of artifacts that a statement says the run took in; undefined if a run may have them as inputs. */
export function deniedInputs(
  of: RunCase,
  inputs: readonly ArtifactRef[] | undefined,
  command: string,
): Decision | undefined {
  return deniedFor(of, inputs, { command }, (facts, lane, artifacts) =>
    authorizeInputs({ ...facts, inputs: artifacts }, lane),
  )
}

function deniedFor(
  of: RunCase,
  artifacts: readonly ArtifactRef[] | undefined,
  { action, command }: { action?: OpenAction | undefined; command: string },
  judge: (facts: RunFacts, lane: Lane | undefined, artifacts: readonly ArtifactRef[]) => PolicyVerdict,
): Decision | undefined {
  if (artifacts === undefined || artifacts.length === 0) return undefined
  const { context, run } = of
  const verdict = judge(factsOfPinned(run, context.actor.actor_type), laneOf(of), artifacts)
  if (verdict.decision === 'allow') return undefined
  const target = action?.target ?? { name: run.run_id, operation: command, target_type: 'run' as const }
  const decided = decidedEvent(
    run.run_id,
    { artifacts: [...artifacts], on: action?.action_type ?? 'outputs', target },
    verdict,
  )
  return append(of, [decided, ...unrecordedEvents(run), deniedEvent(run.run_id, durationMillis(of), verdict)])
}

/** OUTPUTS_DENIED, recorded: the lane of the run does not allow outputs from failures. */
export function refusedOutputs(of: RunCase, command: string): Refusal {
  const message = `the lane ${of.run.lane_id} does not allow outputs from failures`
  return refused(of, { code: 'OUTPUTS_DENIED', command, message })
}
