import type { Action } from './action.ts'
import type { Failed, RunFacts } from './checks.ts'
import { deniedByDefault, isPromotionLane, isSharedTable, type Lane } from './policy.ts'

/** Check 7: no side effect of the action, declared or derived, is prohibited. */
export function* checkEffects(run: RunFacts, lane: Lane, action: Action): Generator<Failed> {
  for (const effect of [...new Set([...(action.effects ?? []), ...derivedEffects(run, action)])].sort()) {
    const isProhibited = lane.scope.prohibits.includes(effect)
    if (isProhibited) yield { reason: 'forbidden', rule: `lane:${lane.lane_id}/prohibits/${effect}` }
    else if (isDeniedByDefault(effect, lane)) yield { reason: 'forbidden', rule: `prohibits/${effect}` }
  }
}

/**
 * Whether an effect is denied unless the lane allows it by name. Writing shared knowledge also needs a promotion lane.
 */
function isDeniedByDefault(effect: string, lane: Lane): boolean {
  const known = deniedByDefault.find((candidate) => candidate === effect)
  if (known === undefined) return false
  if (known === 'shared_knowledge_write' && !isPromotionLane(lane)) return true
  return !(lane.scope.allows ?? []).includes(known)
}

/** An external destination: a URI with a host, with or without a scheme, or an email address. */
const externalUri = /^(?:mailto:|[\\/]{2}|(?!file:)[a-z][a-z0-9+.-]*:\/\/)/i

/**
 * The location of an artifact is not a destination, unless it can only be external. The stores of a case are not
 * external.
 */
const externalLocator = /^(?:https?|ftps?|sftp|mailto):/i

/** The side effects that follow from the action itself, whether or not the caller declares them. */
function* derivedEffects(run: RunFacts, { action_type, artifacts = [], scope, target }: Action): Generator<string> {
  const cases = [scope.case_id, ...artifacts.map(({ case_id }) => case_id)]
  if (cases.some((id) => typeof id === 'string' && id.trim() !== '' && id !== run.case_id)) yield 'cross_case_lookup'
  if ((action_type === 'db_write' || action_type === 'promotion') && isSharedTable(target.name)) {
    yield 'shared_knowledge_write'
  }
  const destinations = [target.name, ...Object.values(scope).map(String)]
  if (
    destinations.some((text) => externalUri.test(text.trim())) ||
    artifacts.some(({ storage_locator }) => externalLocator.test(storage_locator ?? ''))
  ) {
    yield* ['external_export', 'raw_external_destination']
  }
  if (Object.hasOwn(scope, 'audit') && scope.audit !== true) yield* ['bypass_audit', 'unaudited_delivery']
  if (action_type !== 'promotion') return
  const marks = artifacts.map(({ confidentiality }) => confidentiality)
  if (marks.some((mark) => mark?.contains_privileged)) yield 'privileged_notes'
  if (marks.some((mark) => mark?.contains_pii || mark?.contains_phi)) yield 'client_identity'
}
