import * as z from 'zod'
import { type Action, actionSchema } from '../../domain/policy/action.ts'
import type { PolicyVerdict } from '../../domain/policy/authorize.ts'
import { mediators } from '../../domain/policy/checks.ts'
import { type PolicyDocument, type PolicyProblem, problemAt } from '../../domain/policy/document.ts'
import { laneOfTool } from '../../domain/policy/lane-of-tool.ts'
import type { Policy } from '../../domain/policy/policy.ts'
import { problemsOf } from '../../domain/policy/problems.ts'
import { reasonSchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { actorTypes, caseIdSchema, line, privilegedActions, runKinds } from '../../kernel/vocabulary.ts'
import { imagined, imaginedState, imaginedVerdict } from './imagined.ts'

const { artifacts, command, effects, scope, target } = actionSchema.shape

const caseSchema = z.strictObject({
  name: reasonSchema,
  role_id: line,
  /** By default the lane in which a session of this role is decided. */
  lane_id: line.optional(),
  action_type: z.enum(privilegedActions).default('tool_call'),
  actor_type: z.enum(actorTypes).default('agent'),
  artifacts,
  case_id: caseIdSchema.optional(),
  command,
  decision: z.enum(['allow', 'deny']),
  effects,
  mode: target.shape.mode,
  /** All rules of the decision, in order. Without them only the decision is compared. */
  rule_ids: z.array(z.string()).optional(),
  /** By default the kind that may do the action. */
  run_kind: z.enum(runKinds).optional(),
  scope: scope.default({}),
  target: target.shape.name,
})
export const tableSchema = z.strictObject({
  cases: z.array(caseSchema).min(1).max(limits.policyListMax),
  /** The folder of the policy files, from that of the table. By default that folder itself. */
  policy: z.string().min(1).max(limits.pathBytes).optional(),
})

type Case = z.output<typeof caseSchema>
export type PolicyTable = z.output<typeof tableSchema>

/** A case whose decision is not the expected one. */
export interface Difference extends PolicyProblem {
  name: string
  expected: { decision: string; rule_ids?: readonly string[] | undefined }
  actual: { decision: string; rule_ids: readonly string[] }
}

/** The table in a file, or all of its problems. */
export function tableOf(document: PolicyDocument): { table: PolicyTable } | { problems: PolicyProblem[] } {
  const read = tableSchema.safeParse(document.value)
  if (read.success) return { table: read.data }
  return { problems: problemsOf(document, tableSchema, read.error) }
}

/** The cases of a table that a policy decides in another way. */
export function differences(policy: Policy, { cases }: PolicyTable, document: PolicyDocument): Difference[] {
  return cases.flatMap((each, index) => {
    const { decision, name, rule_ids } = each
    const verdict = decided(policy, each)
    const actual = { decision: verdict.decision, rule_ids: verdict.rule_ids }
    const isSame = actual.decision === decision && (rule_ids ?? actual.rule_ids).join() === actual.rule_ids.join()
    if (isSame) return []
    const expected = { decision, rule_ids }
    const message = `expected ${said(expected)}, not ${said(actual)}`
    return [{ ...problemAt(document, ['cases', index], message), name, expected, actual, message }]
  })
}

const said = ({ decision, rule_ids = [] }: Difference['expected']) =>
  rule_ids.length === 0 ? decision : `${decision} by ${rule_ids.join(', ')}`

/** The decision in a run that does one action. As in `run exec`, the scope has the ids of the run and its case. */
function decided(policy: Policy, of: Case): PolicyVerdict {
  const { action_type, actor_type, case_id, mode, role_id, target: name, run_kind = mediators[action_type] } = of
  const { artifacts, command, effects } = of
  const lane_id = of.lane_id ?? laneOfTool(policy, { role_id, tool: name }) ?? ''
  const run_id = 'run_imagined'
  const scope = { ...(case_id === undefined ? {} : { case_id }), run_id, ...of.scope }
  const target = mode === undefined ? { name } : { mode, name }
  const action: Action = { action_type, artifacts, command, effects, lane_id, scope, target }
  const run = imagined({ actor_type, case_id, role_id, run_kind }, action, imaginedState(policy.sha256))
  return imaginedVerdict(action, policy, run)
}
