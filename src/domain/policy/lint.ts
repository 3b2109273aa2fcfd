import { nearest } from '../../kernel/sentences.ts'
import { type PolicyDocument, type PolicyProblem, problemAt } from './document.ts'
import { isPromotionLane, isSharedTable, keepsText, type Lane, type Policy, standsFor } from './policy.ts'
import { withNearest } from './problems.ts'

/**
 * Findings about a valid policy that grants less than it states. A grant has no effect if only one file has it, or if
 * its role or lane does not exist. The evaluator denies in each case.
 */
export function lintPolicy(policy: Policy, files: { lanes: PolicyDocument; roles: PolicyDocument }): PolicyProblem[] {
  const lanes = [...policy.lanes.values()].flatMap((lane, index) => [
    ...grantsOf(lane, policy, ['lanes', index], files),
    ...sharedKnowledge(lane, ['lanes', index], files.lanes),
    ...unknownWords(lane, ['lanes', index], files.lanes),
    ...withoutAudit(lane, ['lanes', index], files.lanes),
    ...withoutEffect(lane, ['lanes', index], files.lanes),
  ])
  const roles = [...policy.roles.values()].flatMap(({ privileges, role_id }, index) =>
    privileges.lanes.flatMap((laneId, at) => {
      const path = ['roles', index, 'privileges', 'lanes', at]
      const lane = policy.lanes.get(laneId)
      if (lane === undefined)
        return [
          problemAt(
            files.roles,
            path,
            withNearest(`${files.lanes.file} has no lane ${laneId}`, [...policy.lanes.keys()], laneId),
          ),
        ]
      if (lane.allowed_callers.roles.includes(role_id)) return []
      return [problemAt(files.roles, path, `${files.lanes.file} does not open ${laneId} to ${role_id}`)]
    }),
  )
  return [...lanes, ...roles]
}

type Path = readonly (string | number)[]

function grantsOf(
  { allowed_callers, lane_id }: Lane,
  policy: Policy,
  path: Path,
  files: { lanes: PolicyDocument; roles: PolicyDocument },
): PolicyProblem[] {
  return allowed_callers.roles.flatMap((roleId, at) => {
    const place = [...path, 'allowed_callers', 'roles', at]
    const role = policy.roles.get(roleId)
    if (role === undefined)
      return [
        problemAt(
          files.lanes,
          place,
          withNearest(`${files.roles.file} has no role ${roleId}`, [...policy.roles.keys()], roleId),
        ),
      ]
    if (role.privileges.lanes.includes(lane_id)) return []
    return [problemAt(files.lanes, place, `${files.roles.file} does not give ${lane_id} to ${roleId}`)]
  })
}

/** Shared knowledge can be written only in a promotion lane that allows it. A prohibition overrides an allowance. */
function sharedKnowledge(lane: Lane, path: Path, file: PolicyDocument): PolicyProblem[] {
  const { allows = [], prohibits } = lane.scope
  const mayWriteShared = allows.includes('shared_knowledge_write') && isPromotionLane(lane)
  const writes = (lane.allowed_actions.writes ?? []).flatMap(({ table }, at) =>
    mayWriteShared || !isSharedTable(table)
      ? []
      : [problemAt(file, [...path, 'allowed_actions', 'writes', at], `${table} cannot be written from this lane`)],
  )
  const allowed = allows.flatMap((effect, at) => {
    const place = [...path, 'scope', 'allows', at]
    if (prohibits.includes(effect)) return [problemAt(file, place, `${effect} is prohibited in the same lane`)]
    if (effect !== 'shared_knowledge_write' || isPromotionLane(lane)) return []
    return [problemAt(file, place, `${effect} is only for a lane that requires promotion_ticket_id`)]
  })
  return [...writes, ...allowed]
}

/** The effects that follow from actions, and those that callers declare in the shipped lanes. */
const knownEffects = [
  'bypass_audit',
  'client_identity',
  'cross_case_lookup',
  'external_export',
  'privileged_notes',
  'raw_case_text',
  'raw_external_destination',
  'shared_knowledge_write',
  'silent_changes',
  'unaudited_delivery',
]

/** The facts that the contract names. A lane may require others. */
const knownFacts = [
  'attorney_signoff',
  'case_id',
  'client_session_id',
  'coa_version',
  'export_reason',
  'override_reason',
  'override_ticket_id',
  'promotion_ticket_id',
  'run_id',
]

/**
 * Prohibitions and required facts that are probably misspelled. A misspelled prohibition prohibits nothing that the
 * ledger derives from an action, and a misspelled fact is never stated.
 */
function unknownWords({ scope }: Lane, path: Path, file: PolicyDocument): PolicyProblem[] {
  const prohibited = scope.prohibits.flatMap((effect, at) => {
    if (knownEffects.includes(effect)) return []
    const says = `${effect} is not a known effect, so it prohibits only what callers declare by this name`
    const text = withNearest(says, knownEffects, effect)
    return [problemAt(file, [...path, 'scope', 'prohibits', at], text)]
  })
  const required = scope.requires.flatMap((fact, at) => {
    const near = knownFacts.includes(fact) ? undefined : nearest(knownFacts, fact)
    if (near === undefined) return []
    return [problemAt(file, [...path, 'scope', 'requires', at], `${fact}: did you mean ${near}?`)]
  })
  return [...prohibited, ...required]
}

/** Programs that run what their arguments or their environment name. */
const wrappers =
  /^(?:bash|busybox|dash|env|find|fish|ksh|nice|nohup|setsid|sh|ssh|stdbuf|su|sudo|time|timeout|xargs|zsh)$/

/** What a lane says in vain: a binding of a tool that it does not list, and texts that it may not keep. */
function* withoutEffect(lane: Lane, path: Path, file: PolicyDocument): Generator<PolicyProblem> {
  const { commands = [], raw_text, tools = [] } = lane.allowed_actions
  for (const [at, { args, program, tool }] of commands.entries()) {
    const place = [...path, 'allowed_actions', 'commands', at]
    if (!tools.some((listed) => standsFor(listed, tool) || standsFor(tool, listed) || listed === tool)) {
      const text = `the lane does not list ${tool}, so it is denied anyway`
      yield problemAt(file, [...place, 'tool'], withNearest(text, tools, tool))
    }
    if (wrappers.test(program.slice(program.lastIndexOf('/') + 1)) && args.at(-1)?.endsWith('*')) {
      yield problemAt(
        file,
        [...place, 'program'],
        `${program} runs what its arguments name, so this binds ${tool} to nothing`,
      )
    }
  }
  if (raw_text && !keepsText(lane)) {
    yield problemAt(file, [...path, 'allowed_actions', 'raw_text'], 'the lane takes no raw text, so it records none')
  }
}

/** The contract demands the audit of every action (Run Lifecycle, Contract v1, section 6). */
function withoutAudit({ audit }: Lane, path: Path, file: PolicyDocument): PolicyProblem[] {
  if (audit.required) return []
  const text = 'the contract demands audit, so every action in this lane is denied'
  return [problemAt(file, [...path, 'audit', 'required'], text)]
}
