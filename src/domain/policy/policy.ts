import * as z from 'zod'
import { promotionRolesDefault } from '../../kernel/config.ts'
import { reasonSchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { type PolicyDocument, type PolicyProblem, problemAt } from './document.ts'
import { problemsOf } from './problems.ts'

const id = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,119}$/, 'must begin with a letter and have at most 120 of A-Z a-z 0-9 _ . -')
/** The name of a tool or a table, or the beginning of such names before a `*`. */
const pattern = (name: RegExp, signs: string) =>
  z.string().regex(name, `must begin with a letter and have at most 120 of ${signs}, and may end in *`)
const tool = pattern(/^[A-Za-z][A-Za-z0-9_.:-]{0,119}\*?$/, 'A-Z a-z 0-9 _ . : -')
const table = pattern(/^[A-Za-z][A-Za-z0-9_.-]{0,119}\*?$/, 'A-Z a-z 0-9 _ . -')
const word = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,79}$/, 'must begin with a lower-case letter and have at most 80 of a-z 0-9 _')
/** A program in a folder of the system by its name, or any program by its path. */
const program = z
  .string()
  .max(limits.reasonChars)
  .regex(
    /^(?:[A-Za-z0-9_][A-Za-z0-9_.+-]{0,119}|(?:\/(?!\.{1,2}(?:\/|$))[^/*\0]+)+\/?)\*?$/,
    'must be a name such as npm, or an absolute path without . and .., and may end in *',
  )
/** The arguments of a program, each as it is or up to a `*`. `**` at the end stands for any further ones. */
const args = z
  .array(
    z
      .string()
      .max(limits.reasonChars)
      .regex(/^[^\0]*$/, 'must have no NUL'),
  )
  .max(limits.policyListMax)
  .refine((words) => !words.slice(0, -1).includes('**'), '** may only stand at the end')
const listOf = <Item extends z.ZodType>(item: Item) => z.array(item).max(limits.policyListMax)

/**
 * The effects that are denied in every lane that does not allow them by name (Run Lifecycle, Contract v1, section 11).
 */
export const deniedByDefault = ['cross_case_lookup', 'shared_knowledge_write'] as const

/**
 * The contents that never reach shared knowledge, whatever a lane states (Run Lifecycle, Contract v1, section 10.1).
 */
export const neverShared = ['client_identity', 'privileged_notes', 'raw_case_text'] as const

const laneSchema = z.strictObject({
  lane_id: id,
  purpose: reasonSchema,
  allowed_callers: z.strictObject({ roles: listOf(id) }),
  allowed_actions: z.strictObject({
    /** Binds tools to programs: such a tool runs one of these, with these arguments, and nothing else. */
    commands: listOf(z.strictObject({ tool, program, args })).optional(),
    partial_outputs: z.boolean().optional(),
    /** Whether the content of actions may be recorded, such as the arguments of a command. By default only digests are. */
    raw_text: z.boolean().optional(),
    reads: listOf(id).optional(),
    tools: listOf(tool).optional(),
    writes: listOf(z.strictObject({ table, mode: word })).optional(),
  }),
  scope: z.strictObject({
    requires: listOf(word),
    prohibits: listOf(word),
    allows: listOf(z.enum(deniedByDefault)).optional(),
  }),
  audit: z.strictObject({ required: z.boolean(), level: word }),
  /** Whether each promotion of a turn needs the decision_id of an allow in its run. */
  turns: z.strictObject({ require_decision: z.boolean() }).optional(),
})
export type Lane = z.infer<typeof laneSchema>

const roleSchema = z.strictObject({
  role_id: id,
  description: reasonSchema,
  class: z.enum(['system', 'agent', 'human']),
  privileges: z.strictObject({ lanes: listOf(id) }),
})
export type Role = z.infer<typeof roleSchema>

const contract_version = z.literal('v1').optional()
export const lanesFileSchema = z.strictObject({ contract_version, lanes: listOf(laneSchema).min(1) })
export const rolesFileSchema = z.strictObject({ contract_version, roles: listOf(roleSchema).min(1) })

/** Both parsed policy files, and the SHA-256 of the content of each. The check for drift compares these hashes. */
export interface Policy {
  lanes: ReadonlyMap<string, Lane>
  roles: ReadonlyMap<string, Role>
  sha256: { lanes: string; roles: string }
}

/** Whether a lane is for knowledge promotion: its actions require a promotion ticket. */
export function isPromotionLane(lane: Lane): boolean {
  return lane.scope.requires.includes('promotion_ticket_id')
}

/** Whether a table holds knowledge shared by all cases. The name may have the name of a schema before it. */
export function isSharedTable(table: string): boolean {
  return /(?:^|\.)shared[_.-]/i.test(table)
}

/**
 * Whether a name in a lane stands for a target. A `*` at its end stands for one sign or more, and only for signs of
 * names. It never reaches a table that holds shared knowledge unless the name before it says so.
 */
export function standsFor(listed: string, target: string): boolean {
  if (!listed.endsWith('*')) return listed === target
  const start = listed.slice(0, -1)
  const isLonger = target.length > start.length && target.startsWith(start)
  return isLonger && /^[A-Za-z0-9_.:-]{1,120}$/.test(target) && (!isSharedTable(target) || isSharedTable(start))
}

/** Whether a lane takes no raw text: it prohibits raw case text, or it may write shared knowledge. */
export function takesNoText(lane: Lane): boolean {
  const { allowed_actions, scope } = lane
  const mayShare = isPromotionLane(lane) || (allowed_actions.writes ?? []).some(({ table }) => isSharedTable(table))
  return mayShare || scope.prohibits.includes('raw_case_text')
}

/** Whether the content of actions in a lane is recorded. A lane that takes no raw text records none, whatever it says. */
export function keepsText(lane: Lane | undefined): boolean {
  return lane?.allowed_actions.raw_text === true && !takesNoText(lane)
}

/**
 * The policy in two files, or all of their problems. An invalid policy is never in force, not even in part. A promotion
 * lane that admits other roles than `promotionRoles` is invalid.
 */
export function policyOf(
  files: { lanes: PolicyDocument; roles: PolicyDocument },
  promotionRoles: readonly string[] = promotionRolesDefault,
): { policy: Policy } | { problems: PolicyProblem[] } {
  const lanes = lanesFileSchema.safeParse(files.lanes.value)
  const roles = rolesFileSchema.safeParse(files.roles.value)
  if (!lanes.success || !roles.success) {
    return {
      problems: [
        ...problemsOf(files.lanes, lanesFileSchema, lanes.error),
        ...problemsOf(files.roles, rolesFileSchema, roles.error),
      ],
    }
  }
  const problems = [
    ...repeated(files.lanes, 'lanes', 'lane_id', lanes.data.lanes),
    ...repeated(files.roles, 'roles', 'role_id', roles.data.roles),
    ...openPromotions(files.lanes, lanes.data.lanes, promotionRoles),
  ]
  if (problems.length > 0) return { problems }
  const policy = {
    lanes: new Map(lanes.data.lanes.map((lane) => [lane.lane_id, lane])),
    roles: new Map(roles.data.roles.map((role) => [role.role_id, role])),
    sha256: { lanes: files.lanes.sha256, roles: files.roles.sha256 },
  }
  return { policy }
}

/** Ids that occur twice in one file. */
function repeated<Key extends string>(
  document: PolicyDocument,
  list: string,
  key: Key,
  items: readonly Record<Key, string>[],
): PolicyProblem[] {
  const ids = items.map((item) => item[key])
  return ids.flatMap((id, index) =>
    ids.indexOf(id) === index ? [] : [problemAt(document, [list, index, key], `"${id}" occurs here a second time`)],
  )
}

/** Roles that a promotion lane admits but must not admit. */
function openPromotions(document: PolicyDocument, lanes: Lane[], promotionRoles: readonly string[]): PolicyProblem[] {
  return lanes.flatMap((lane, index) =>
    lane.allowed_callers.roles.flatMap((role, at) => {
      if (!isPromotionLane(lane) || promotionRoles.includes(role)) return []
      const path = ['lanes', index, 'allowed_callers', 'roles', at]
      const message = `${role} may not promote: a promotion lane is only for ${promotionRoles.join(' and ')}`
      return [problemAt(document, path, message)]
    }),
  )
}
