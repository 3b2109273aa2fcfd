import type { Action } from '../../src/domain/policy/action.ts'
import type { ArtifactRef } from '../../src/kernel/artifact-ref.ts'
import type { PolicyTexts } from './gated.ts'

// A model of the gates, written from Run Lifecycle, Contract v1, sentence by sentence. It shares no code with the
// product, only the shapes of its data. Each function returns the sentences that forbid what is asked; none allows it.

/** What the model knows of a run. */
export interface ModelRun {
  run_id: string
  kind: string
  status: 'created' | 'running' | 'completed' | 'failed' | 'denied' | 'cancelled'
  lane: string | undefined
  role: string | undefined
  actorType: string
  case: string | undefined
  inputs: readonly ArtifactRef[]
  parent: ModelRun | undefined
  /** The policy that the run is pinned to; undefined before its start. */
  policy: PolicyTexts | undefined
  /** The allowed actions that have no audit event yet, by the id of their decision. */
  open: Map<string, Action>
  /** The ids of what its successful writes to shared knowledge put out. */
  shared: Set<string>
}

const laneOf = (policy: PolicyTexts | undefined, id: string | undefined) =>
  policy?.lanes.find(({ lane_id }) => lane_id === id)
const roleOf = (policy: PolicyTexts | undefined, id: string | undefined) =>
  policy?.roles.find(({ role_id }) => role_id === id)

/** Section 10.1: the contents that a promotion prohibits. */
const contents = ['raw_case_text', 'client_identity', 'privileged_notes']
const mediators = {
  tool_call: 'tool_gateway',
  db_write: 'db_write',
  db_read: 'db_read',
  promotion: 'promotion',
  export: 'export',
}

/** The contents of an artifact. Where it goes to shared knowledge, what it does not exclude counts as contained. */
function contentsOf(artifacts: readonly ArtifactRef[], isStrict: boolean): Set<string> {
  const found = new Set<string>()
  for (const { artifact_kind, case_id, confidentiality: mark } of artifacts) {
    const has = (value: boolean | null | undefined) => (isStrict ? value !== false : value === true)
    if (contents.includes(artifact_kind)) found.add(artifact_kind)
    if (has(mark?.contains_privileged)) found.add('privileged_notes')
    if (has(mark?.contains_pii) || has(mark?.contains_phi)) found.add('client_identity')
    if (isStrict && case_id) found.add('client_identity')
  }
  return found
}

const isOutside = (text: unknown) => typeof text === 'string' && /^https?:/.test(text)
const isOfShared = ({ table }: { table: string }) => table.startsWith('shared_')
const sharesTable = (action: Action) => action.target.name.startsWith('shared_') || action.action_type === 'promotion'

/** What artifacts and effects forbid in a lane. `isShared`: the target is shared knowledge. */
function* prohibitions(
  run: ModelRun,
  policy: PolicyTexts | undefined,
  of: { artifacts: readonly ArtifactRef[]; effects: Iterable<string>; isShared: boolean; isStrict: boolean },
): Generator<string> {
  const lane = laneOf(policy, run.lane)
  const effects = new Set([...of.effects, ...contentsOf(of.artifacts, false)])
  const isCrossed = of.artifacts.some(({ case_id }) => case_id && case_id !== run.case)
  if (isCrossed) effects.add('cross_case_lookup')
  // 5.1: validate prohibitions.
  for (const effect of effects) if (lane?.scope.prohibits.includes(effect)) yield `5.1 prohibits ${effect}`
  // 11: prohibit cross-case reads and writes unless a lane explicitly allows it.
  if (effects.has('cross_case_lookup') && !lane?.scope.allows?.includes('cross_case_lookup')) yield '11 cross-case'
  // 11: prohibit shared knowledge writes unless a promotion lane explicitly allows it.
  const isPromotionLane = lane?.scope.requires.includes('promotion_ticket_id')
  const mayShare = isPromotionLane && lane?.scope.allows?.includes('shared_knowledge_write')
  if (effects.has('shared_knowledge_write') && !mayShare) yield '11 shared knowledge'
  // 10.1: prohibit raw_case_text, client_identity, privileged_notes.
  if (of.isShared) for (const content of contents) if (effects.has(content)) yield `10.1 ${content}`
}

/** Section 8.1 and 11: what the inputs of a run forbid, when it is created and when it starts. */
export function inputsForbid(run: ModelRun, policy: PolicyTexts | undefined): string[] {
  return [
    ...prohibitions(run, policy, {
      artifacts: run.inputs,
      effects: [],
      isShared: run.kind === 'promotion',
      isStrict: false,
    }),
  ]
}

/** Sections 4, 5.1 and 7.1: what forbids a start under the policy in force. `pinsAreTrue`: no false pins are stated. */
export function startForbids(run: ModelRun, inForce: PolicyTexts, pinsAreTrue: boolean): string[] {
  const forbidden = inputsForbid(run, inForce)
  if (!pinsAreTrue) forbidden.push('4 pins')
  if (run.parent !== undefined && run.parent.policy !== inForce) forbidden.push('7.1 inherited policy')
  if (run.kind === 'orchestrator' && run.role === undefined) return forbidden
  forbidden.push(...callerForbids(run, inForce, run.kind === 'orchestrator' ? undefined : run.lane))
  if (run.kind === 'orchestrator') return forbidden
  if (run.lane === undefined) forbidden.push('5.1 lane')
  const requiresCase = laneOf(inForce, run.lane)?.scope.requires.includes('case_id')
  if (requiresCase && run.case === undefined) forbidden.push('5.1 case_id')
  return forbidden
}

/** 5.1: validate the caller role from the roles policy, and that the lane allows it. */
function callerForbids(run: ModelRun, policy: PolicyTexts | undefined, laneId: string | undefined): string[] {
  const role = roleOf(policy, run.role)
  if (role === undefined) return ['5.1 role']
  const forbidden = role.class === 'human' && run.actorType !== 'human' ? ['5.1 human role'] : []
  if (laneId === undefined) return forbidden
  const lane = laneOf(policy, laneId)
  if (!lane?.allowed_callers.roles.includes(role.role_id)) forbidden.push('5.1 lane allows role')
  if (!role.privileges.lanes.includes(laneId)) forbidden.push('5.1 role has lane')
  return forbidden
}

/** Sections 5.1, 5.2, 10 and 11: what forbids an action of a running run. */
export function actionForbids(run: ModelRun, inForce: PolicyTexts, action: Action): string[] {
  const policy = run.policy
  const lane = laneOf(policy, run.lane)
  const { action_type, artifacts = [], effects = [], scope, target } = action
  const forbidden = callerForbids(run, policy, run.lane)
  // 4: the pins of the run govern, and what is in force must be what is pinned.
  if (policy !== inForce) forbidden.push('4 drift')
  if (action.lane_id !== run.lane) forbidden.push('5.1 lane of the run')
  if (mediators[action_type] !== run.kind) forbidden.push('5.2 mediation')
  const { reads = [], tools = [], writes = [] } = lane?.allowed_actions ?? {}
  const isWrite = action_type === 'db_write' || action_type === 'promotion'
  const isListed = isWrite
    ? writes.some(({ mode, table }) => table === target.name && mode === target.mode)
    : (action_type === 'db_read' ? reads : tools).includes(target.name)
  if (!isListed) forbidden.push('5.1 action')
  if (action_type === 'export' && !target.name.startsWith('export_bundle.')) forbidden.push('10.2 bundle')
  const requires = [...(lane?.scope.requires ?? []), ...(action_type === 'promotion' ? ['promotion_ticket_id'] : [])]
  for (const key of requires) if ((scope[key] ?? '') === '') forbidden.push(`5.1 scope ${key}`)
  if (scope.run_id !== undefined && scope.run_id !== run.run_id) forbidden.push('5.1 scope of the run')
  const isShared = sharesTable(action)
  const isStrict = isShared && action_type !== 'db_read'
  const derived = new Set<string>(effects)
  if (scope.case_id !== undefined && scope.case_id !== run.case) derived.add('cross_case_lookup')
  if (isStrict) derived.add('shared_knowledge_write')
  if (isStrict) for (const content of contentsOf(artifacts, true)) derived.add(content)
  const places = [...Object.values(scope), ...artifacts.map(({ storage_locator }) => storage_locator)]
  if (places.some(isOutside)) derived.add('external_export').add('raw_external_destination')
  // 8: no raw text. A place outside is no single word.
  const isRaw = Object.values(scope).some(isOutside)
  const mayShare = lane?.scope.requires.includes('promotion_ticket_id') || writes.some(isOfShared)
  // 8 and 10.1: shared knowledge prohibits it in every lane.
  if (isRaw && (mayShare || lane?.scope.prohibits.includes('raw_case_text'))) forbidden.push('8 raw text')
  if (scope.audit === false) derived.add('bypass_audit').add('unaudited_delivery')
  const all = [...artifacts, ...run.inputs]
  forbidden.push(...prohibitions(run, policy, { artifacts: all, effects: derived, isShared, isStrict }))
  // 10.1: references to sanitized artifacts, so at least one.
  if (isStrict && artifacts.length === 0) forbidden.push('10.1 sanitized artifacts')
  // 10.1: restricted to GOVERNANCE_AGENT or ATTORNEY_ADMIN.
  const isPromoter = run.role === 'GOVERNANCE_AGENT' || run.role === 'ATTORNEY_ADMIN'
  if (action_type === 'promotion' && !isPromoter) forbidden.push('10.1 role')
  return forbidden
}

/** Sections 8.2, 10.1 and 11: what forbids outputs, of an action or of a run that ends. */
export function outputsForbid(run: ModelRun, outputs: readonly ArtifactRef[], action?: Action): string[] {
  if (outputs.length === 0) return []
  const lane = laneOf(run.policy, run.lane)
  const isOfPromotion = run.kind === 'promotion' || (lane?.scope.requires.includes('promotion_ticket_id') ?? false)
  const isOnShared = action === undefined ? isOfPromotion : sharesTable(action)
  const isStrict = action?.action_type !== 'db_read' && (isOnShared || outputs.some(({ scope }) => scope === 'shared'))
  const effects = new Set<string>(isStrict ? [...contentsOf(outputs, true), 'shared_knowledge_write'] : [])
  if (outputs.some(({ storage_locator }) => isOutside(storage_locator))) {
    effects.add('external_export').add('raw_external_destination')
  }
  return [...prohibitions(run, run.policy, { artifacts: outputs, effects, isShared: isOnShared || isStrict, isStrict })]
}

/** Sections 5.2 and 10.1: shared knowledge is put out by a promotion, or as what an earlier promotion put out. */
export function putsOutUnshared(run: ModelRun, outputs: readonly ArtifactRef[], action?: Action): boolean {
  if (action !== undefined && sharesTable(action) && action.action_type !== 'db_read') return false
  return outputs.some(({ artifact_id, scope }) => scope === 'shared' && !run.shared.has(artifact_id))
}

/** Section 9.1: record partial outputs only if policy permits. */
export function mayRecordPartial(run: ModelRun): boolean {
  return laneOf(run.policy, run.lane)?.allowed_actions.partial_outputs === true
}
