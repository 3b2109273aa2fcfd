import * as z from 'zod'
import { actionSchema } from '../../domain/policy/action.ts'
import { runEventSchemas } from '../../domain/run/events.ts'
import { actorSchema } from '../../kernel/ids.ts'
import { actorTypes, caseIdSchema, line, runIdSchema, runKinds } from '../../kernel/vocabulary.ts'
import { hints } from '../hints.ts'
import { hash, seq } from './basics.ts'

export const reload = z.strictObject({ actor: actorSchema.optional() })
export interface ReloadPolicy extends z.input<typeof reload> {}

export const explainInRun = z.strictObject({
  action: actionSchema,
  actor: actorSchema.optional(),
  run_id: runIdSchema,
})
export interface ExplainInRun extends z.input<typeof explainInRun> {}

export const explainForRole = z.strictObject({
  action: actionSchema,
  actor_type: z.enum(actorTypes).default('agent'),
  case_id: caseIdSchema.optional(),
  role_id: line,
  run_kind: z.enum(runKinds),
})
export interface ExplainForRole extends z.input<typeof explainForRole> {}

const file = z.strictObject({
  file: z.string(),
  on_disk: z.enum(['changed', 'missing', 'same']),
  pin: z.string(),
  sha256: hash,
  source: z.string(),
})
export const shown = z.strictObject({
  grants: z.array(z.strictObject({ lane_id: z.string(), purpose: z.string(), roles: z.array(z.string()) })),
  lanes: file,
  loaded: z.string(),
  roles: file,
  seq,
})
/** The policy in force: its files, when it was loaded, and the roles that each lane admits. */
export interface PolicyInForce extends z.output<typeof shown> {}

export const reloaded = shown.extend({ replayed: z.boolean() })
export interface ReloadedPolicy extends z.output<typeof reloaded> {}

const problem = z.strictObject({ file: z.string(), line: z.int().min(0), message: z.string() })
export const checked = z.strictObject({
  findings: z.array(problem),
  loadable: z.boolean(),
  problems: z.array(problem),
})
/** `problems` keep the files from being loaded; `findings` do not. */
export interface CheckedPolicy extends z.output<typeof checked> {}

const { decision, missing, reason, rule_ids } = runEventSchemas['run.decided'].shape
export const verdict = z.strictObject({
  decision,
  missing,
  pins: z.strictObject({ lanes: z.string(), roles: z.string() }),
  reason,
  rule_ids,
})
/** A decision that was not recorded. */
export interface PolicyVerdict extends z.output<typeof verdict> {}

hints.add(actionSchema, { bundle: { about: 'What an export hands out, and the approvals that it names.' } })
hints.add(explainForRole, { role_id: { about: 'The role that would act.' }, run_kind: { about: 'The kind of run.' } })
hints.add(explainInRun, { run_id: { about: 'The run that would act.' } })
const inForce = {
  grants: { about: 'The roles that each lane admits, and for what purpose.' },
  seq: { about: 'The entry that put the policy in force.' },
}
hints.add(shown, inForce)
hints.add(reloaded, { ...inForce, replayed: { about: 'Whether these files were in force already.' } })
hints.add(verdict, { reason: { about: 'The first check that failed; null for an allow.' } })
