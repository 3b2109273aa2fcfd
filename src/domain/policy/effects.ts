import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { Action } from './action.ts'
import { contentsOf, isArtifactOfCase, unknownContentsOf } from './artifact-content.ts'
import type { Failed, RunFacts } from './checks.ts'
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
  const derived = [...derivedEffects(run, action), ...effectsOf(run, [...artifacts, ...(run.inputs ?? [])])]
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

/** An external destination: a URI with a host, with or without a scheme, or an email address. */
const externalUri = /^(?:mailto:|[\\/]{2}|(?!file:)[a-z][a-z0-9+.-]*:\/\/)/i

/**
 * The location of an artifact is not a destination, unless it can only be external. The stores of a case are not
 * external.
 */
const externalLocator = /^(?:https?|ftps?|sftp|mailto):/i

const externalEffects = ['external_export', 'raw_external_destination']

function isExternal({ storage_locator }: ArtifactRef): boolean {
  return externalLocator.test(storage_locator ?? '')
}

/** The side effects that follow from the action itself, whether or not the caller declares them. */
function* derivedEffects(run: RunFacts, { artifacts = [], scope, target }: Action): Generator<string> {
  const cases = Object.keys(scope).filter((key) => /(?:^|_)case_ids?$/.test(key))
  if (cases.some((key) => String(scope[key]).trim() !== '' && scope[key] !== run.case_id)) yield 'cross_case_lookup'
  const destinations = [target.name, ...Object.values(scope).map(String)]
  if (destinations.some((text) => externalUri.test(text.trim())) || artifacts.some(isExternal)) yield* externalEffects
  if (Object.hasOwn(scope, 'audit') && scope.audit !== true) yield* ['bypass_audit', 'unaudited_delivery']
}
