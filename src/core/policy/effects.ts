import type { Action } from '../action.ts'
import type { Failed, RunFacts } from './checks.ts'
import { deniedByDefault, isPromotionLane, isSharedTable, type Lane } from './policy.ts'

/** Check 7: nothing that the action brings with it, declared or derived, is prohibited. */
export function* checkEffects(run: RunFacts, lane: Lane, action: Action): Generator<Failed> {
  for (const effect of [...new Set([...(action.effects ?? []), ...derivedEffects(run, action)])].sort()) {
    const isProhibited = lane.scope.prohibits.includes(effect)
    if (isProhibited) yield { reason: 'forbidden', rule: `lane:${lane.lane_id}/prohibits/${effect}` }
    else if (isDeniedByDefault(effect, lane)) yield { reason: 'forbidden', rule: `prohibits/${effect}` }
  }
}

/** Whether no lane may do it unless it says so; shared knowledge is moreover only for a promotion lane. */
function isDeniedByDefault(effect: string, lane: Lane): boolean {
  const known = deniedByDefault.find((candidate) => candidate === effect)
  if (known === undefined) return false
  if (known === 'shared_knowledge_write' && !isPromotionLane(lane)) return true
  return !(lane.scope.allows ?? []).includes(known)
}

/** A destination outside: a URI with a host, with any scheme or none, or an address for mail. */
const externalUri = /^(?:mailto:|[\\/]{2}|(?!file:)[a-z][a-z0-9+.-]*:\/\/)/i

/** Where an artifact is kept is no destination, but for what can only be elsewhere: the stores of a case are not. */
const externalLocator = /^(?:https?|ftps?|sftp|mailto):/i

/** What an action brings with it by what it says, whether or not the caller declares it. */
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
