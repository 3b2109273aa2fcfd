import * as z from 'zod'
import { freeText } from './free-text.ts'
import { lineOf, reasonSchema } from './ids.ts'
import { limits } from './limits.ts'

// The words and small shapes that run records, audit events, artifacts and export bundles of Contract v1 share.

/** The seven kinds of run (Run Lifecycle, Contract v1, section 2). */
export const runKinds = ['orchestrator', 'agent', 'tool_gateway', 'db_write', 'db_read', 'promotion', 'export'] as const
export type RunKind = (typeof runKinds)[number]

/** The six states of a run (Run Lifecycle, Contract v1, section 3). */
export const runStatuses = ['created', 'running', 'completed', 'failed', 'denied', 'cancelled'] as const
export type RunStatus = (typeof runStatuses)[number]

/**
 * The actions that need a decision before and one audit event after them (Run Lifecycle, Contract v1, sections 5.1 and
 * 6).
 */
export const privilegedActions = ['tool_call', 'db_write', 'db_read', 'promotion', 'export'] as const
export type PrivilegedAction = (typeof privilegedActions)[number]

export const actionTypes = [...privilegedActions, 'policy_change', 'override', 'authz_decision', 'system'] as const
/** The kinds of target that an audit event can have. */
export const targetTypes = [
  'artifact',
  'export_bundle',
  'lock',
  'policy',
  'run',
  'system',
  'table',
  'tool',
  'turn',
] as const

export const actorTypes = ['agent', 'human', 'system'] as const

/**
 * What a token may grant its bearer. No grant implies another. The bearer of `node` is another node of the ledger, which
 * says for whom it calls.
 */
export const tokenGrants = ['agent', 'authority', 'node', 'operator'] as const

/** The kinds of approval that an export may require (Run Lifecycle, Contract v1, section 10.2). */
export const approvalTypes = ['attorney_admin', 'delegated_admin', 'compliance', 'court_order'] as const
export type ApprovalType = (typeof approvalTypes)[number]

/** The value of a missing pin of a policy file. */
export const unpinned = 'UNPINNED'

export const shortLine = lineOf(80)
export const line = lineOf(120)
export const longLine = lineOf(200)
export const runIdSchema = line.min(8)
export const caseIdSchema = line.min(4)
export const eventIdSchema = line.min(8)
/** The name of a target. It can be the longest name of a lock. */
export const targetNameSchema = lineOf(limits.lockNameBytes)
export const noteSchema = reasonSchema.max(1_000)

/** A time in UTC. */
export const utcSchema = z.iso.datetime()

/** Accepted in either case; stored in lower case. */
export const sha256Schema = z
  .string()
  .regex(/^[0-9a-fA-F]{64}$/)
  .toLowerCase()

/** A Git SHA of 40 or 64 hex digits, or `UNPINNED`. */
const pinSchema = z
  .string()
  .regex(/^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|UNPINNED)$/)
  .overwrite((pin) => (pin === unpinned ? pin : pin.toLowerCase()))
export const policyVersionsSchema = z.strictObject({ lanes: pinSchema, roles: pinSchema })

export const taxonomyVersionsSchema = z.strictObject({
  coa: line.nullish(),
  entities: line.nullish(),
  tags: line.nullish(),
})

/** A map whose keys the caller chooses, as a list, because keys of objects come from a closed alphabet. */
export const pairsSchema = z.array(z.strictObject({ key: line, value: longLine })).max(100)

/** The known facts about the content of an artifact or a run. Absent and null members mean unknown. */
export const classificationSchema = z.strictObject({
  contains_phi: z.boolean().nullish(),
  contains_pii: z.boolean().nullish(),
  contains_privileged: z.boolean().nullish(),
  notes: freeText(reasonSchema.max(300)).nullish(),
})

/** The events that a record was made from, or that belong to it. */
export const eventIdsSchema = z.array(eventIdSchema).max(1_000)
