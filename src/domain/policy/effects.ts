import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { Action } from './action.ts'
import { contentsOf, isArtifactOfCase, unknownContentsOf } from './artifact-content.ts'
import type { Failed, RunFacts } from './checks.ts'
import { isDestination } from './destination.ts'
import { deniedByDefault, isPromotionLane, isSharedTable, type Lane, neverShared } from './policy.ts'

/** The part of an action that is known when its outputs are recorded. */
type Done = Pick<Action, 'action_type' | 'target'>

/**
 * Check 7: no side effect of the action, declared or derived, is prohibited. What is written to shared knowledge names
 * the sanitized artifacts that it is made from (Run Lifecycle, Contract v1, section 10.1).
 */
export function* checkEffects(run: RunFacts, lane: Lane, action: Action): Generator<Failed> {
  const { artifacts = [], effects = [] } = action
  const isShared = isOnSharedKnowledge(action)
  const isWritten = sharesKnowledge(action)
  const derived = [...derivedEffects(run, lane, action), ...effectsOf(run, [...artifacts, ...(run.inputs ?? [])])]
  const unknown = isWritten ? [...artifacts.flatMap(unknownContentsOf), 'shared_knowledge_write'] : []
  yield* prohibited([...effects, ...derived, ...unknown], lane, isShared)
  if (!isWritten || artifacts.length > 0) return
  yield { reason: 'missing_scope', rule: 'shared_knowledge/sanitized_artifact', missing: 'artifacts' }
}

/** No input of a run has a prohibited content, or belongs to another case. A run without a lane is allowed nothing. */
export function* checkInputs(run: RunFacts, lane: Lane | undefined): Generator<Failed> {
  yield* prohibited(effectsOf(run, run.inputs ?? []), lane, run.run_kind === 'promotion')
}

/**
 * No output of an action, or of a run that ends, has a prohibited effect. An output with the scope `shared` is a write
 * to shared knowledge, unless it was read from there.
 */
export function* checkOutputs(
  run: RunFacts,
  lane: Lane | undefined,
  outputs: readonly ArtifactRef[],
  done?: Done,
): Generator<Failed> {
  const isRead = done?.action_type === 'db_read'
  const isOfPromotion = run.run_kind === 'promotion' || (lane !== undefined && isPromotionLane(lane))
  const isOnShared = done === undefined ? isOfPromotion : isOnSharedKnowledge(done)
  const isSharing = !isRead && (isOnShared || outputs.some(({ scope }) => scope === 'shared'))
  const unknown = isSharing ? [...outputs.flatMap(unknownContentsOf), 'shared_knowledge_write'] : []
  const external = outputs.some(isExternal) ? externalEffects : []
  yield* prohibited([...effectsOf(run, outputs), ...external, ...unknown], lane, isOnShared || isSharing)
}

/** Whether an action reads or writes shared knowledge. A promotion always does, whatever its table is called. */
function isOnSharedKnowledge({ action_type, target }: Done): boolean {
  return action_type === 'promotion' || isSharedTable(target.name)
}

/** Whether an action writes shared knowledge. */
export function sharesKnowledge(action: Done): boolean {
  return isOnSharedKnowledge(action) && action.action_type !== 'db_read'
}

/** The effects that are prohibited: by the lane, in every lane that does not allow them, or on shared knowledge. */
function* prohibited(effects: readonly string[], lane: Lane | undefined, isShared: boolean): Generator<Failed> {
  for (const effect of [...new Set(effects)].sort()) {
    const isNeverShared = isShared && neverShared.some((content) => content === effect)
    if (lane?.scope.prohibits.includes(effect)) {
      yield { reason: 'forbidden', rule: `lane:${lane.lane_id}/prohibits/${effect}` }
    } else if (isNeverShared || isDeniedByDefault(effect, lane)) {
      yield { reason: 'forbidden', rule: `prohibits/${effect}` }
    }
  }
}

/**
 * Whether an effect is denied unless the lane allows it by name. Writing shared knowledge also needs a promotion lane.
 */
function isDeniedByDefault(effect: string, lane: Lane | undefined): boolean {
  const known = deniedByDefault.find((candidate) => candidate === effect)
  if (known === undefined) return false
  if (known === 'shared_knowledge_write' && !(lane && isPromotionLane(lane))) return true
  return !(lane?.scope.allows ?? []).includes(known)
}

/** The effects that follow from artifacts: what they contain, and whether they belong to another case than the run. */
function effectsOf(run: RunFacts, artifacts: readonly ArtifactRef[]): string[] {
  const isOfAnother = artifacts.some((artifact) => isArtifactOfCase(artifact) && artifact.case_id !== run.case_id)
  return [...artifacts.flatMap(contentsOf), ...(isOfAnother ? ['cross_case_lookup'] : [])]
}

const externalEffects = ['external_export', 'raw_external_destination']

function isExternal({ storage_locator }: ArtifactRef): boolean {
  return isDestination(storage_locator ?? '')
}

/** The side effects that follow from the action itself, whether or not the caller declares them. */
function* derivedEffects(run: RunFacts, lane: Lane, { artifacts = [], scope, target }: Action): Generator<string> {
  if (Object.keys(scope).some((key) => namesCase(key, lane) && isOther(scope[key], run))) yield 'cross_case_lookup'
  const destinations = [target.name, ...Object.values(scope).map(String)]
  if (destinations.some(isDestination) || artifacts.some(isExternal)) yield* externalEffects
  if (Object.hasOwn(scope, 'audit') && scope.audit !== true) yield* ['bypass_audit', 'unaudited_delivery']
}

/** Whether a key of a scope is for a case: it has the word in its letters, and the lane does not ask for it by name. */
function namesCase(key: string, { scope }: Lane): boolean {
  if (key !== 'case_id' && scope.requires.includes(key)) return false
  return key.replace(/[^a-z]/g, '').includes('case')
}

function isOther(value: unknown, { case_id }: RunFacts): boolean {
  return String(value).trim() !== '' && value !== case_id
}
