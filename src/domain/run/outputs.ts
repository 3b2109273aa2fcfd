import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import { type Decision, type Refusal, refuse } from '../../kernel/decider.ts'
import { authorizeInputs, authorizeOutputs, type PolicyVerdict } from '../policy/authorize.ts'
import type { RunFacts } from '../policy/checks.ts'
import type { Lane } from '../policy/policy.ts'
import { append, durationMillis, laneOf, type RunCase, refused, unrecordedEvents } from './case.ts'
import { decidedEvent, deniedEvent } from './decided.ts'
import { factsOfPinned } from './facts.ts'
import type { OpenAction } from './state.ts'

/**
 * OUTPUTS_DENIED for an output of a write to shared knowledge that the allow does not name by id and hash; undefined if
 * there is none.
 */
export function refuseUnnamed(
  { run }: RunCase,
  outputs: readonly ArtifactRef[],
  { decision_id, target }: OpenAction,
): Refusal | undefined {
  const named = (run.shareable ?? []).filter((artifact) => artifact.decision_id === decision_id)
  if (named.length === 0) return undefined
  const isNamed = (output: ArtifactRef) =>
    named.some(({ artifact_id, hash_sha256 }) => {
      return artifact_id === output.artifact_id && hash_sha256 === output.hash_sha256
    })
  const other = outputs.find((output) => !isNamed(output))
  if (other === undefined) return undefined
  const { artifact_id } = other
  const message = `${artifact_id} with this hash was not allowed for ${target.name}: authorize what is written to shared knowledge`
  return refuse('OUTPUTS_DENIED', message, { artifact_id, decision_id, run_id: run.run_id })
}

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
