import * as z from 'zod'
import { actionSchema } from '../../domain/policy/action.ts'
import { commandSchema, programSchema } from '../../domain/policy/command.ts'
import { runEventSchemas } from '../../domain/run/events.ts'
import { actorSchema } from '../../kernel/ids.ts'
import { actorTypes, caseIdSchema, line, runIdSchema, runKinds, sha256Schema } from '../../kernel/vocabulary.ts'
import { hints } from '../hints.ts'
import { hash, seq } from './basics.ts'

const from = z.enum(['contract', 'home']).optional()
export const check = z.strictObject({ from })
export interface CheckPolicy extends z.input<typeof check> {}

export const reload = z.strictObject({
  actor: actorSchema.optional(),
  from,
  lanes_sha256: sha256Schema.optional(),
  roles_sha256: sha256Schema.optional(),
})
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
const change = z.strictObject({
  change: z.enum(['added', 'changed', 'removed']),
  id: z.string(),
  kind: z.enum(['lane', 'role']),
})
export const checked = z.strictObject({
  changes: z.array(change),
  files: z.strictObject({ lanes: z.string(), roles: z.string() }),
  findings: z.array(problem),
  in_force: z.boolean(),
  loadable: z.boolean(),
  other_files: z.array(z.string()),
  problems: z.array(problem),
  sha256: z.strictObject({ lanes: hash, roles: hash }).nullable(),
})
/** What a reload would do. `problems` keep the files from being loaded; `findings` do not. */
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

hints.add(actionSchema, {
  bundle: { about: 'What an export hands out, and the approvals that it names.' },
  command: { about: 'What a tool call runs. A lane can bind a tool to programs and arguments.' },
})
hints.add(commandSchema, {
  argv: { about: 'The words of the command, the name of the program first.' },
  argv_sha256: { about: 'The SHA-256 of the RFC 8785 form of `{"command": argv}`, in place of an argv.' },
  program: { about: 'The program that argv names, on the machine that runs it.' },
})
hints.add(programSchema, {
  found: { about: 'The path where the program was found, with the links of its folder resolved.' },
  real: { about: 'The path that this leads to, with all links resolved.' },
})
hints.add(explainForRole, { role_id: { about: 'The role that would act.' }, run_kind: { about: 'The kind of run.' } })
hints.add(explainInRun, { run_id: { about: 'The run that would act.' } })
const inForce = {
  grants: { about: 'The roles that each lane admits, and for what purpose.' },
  seq: { about: 'The entry that put the policy in force.' },
}
const place = { from: { about: 'The place to read, if it is not that of the policy in force.' } }
hints.add(check, place)
hints.add(reload, {
  ...place,
  lanes_sha256: { about: 'The hash of the lanes that "policy check" showed. Another file is refused.' },
  roles_sha256: { about: 'The hash of the roles that "policy check" showed. Another file is refused.' },
})
hints.add(checked, {
  changes: { about: 'The lanes and roles that a reload would add, change or remove.' },
  files: { about: 'The files that were checked.' },
  in_force: { about: 'Whether these texts are in force.' },
  other_files: { about: 'Files in the other place. They are not read unless `from` names it.' },
  sha256: { about: 'The SHA-256 of each text; null if the files cannot be loaded.' },
})
hints.add(shown, inForce)
hints.add(reloaded, { ...inForce, replayed: { about: 'Whether these files were in force already.' } })
hints.add(verdict, { reason: { about: 'The first check that failed; null for an allow.' } })
