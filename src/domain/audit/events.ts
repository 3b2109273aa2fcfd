import * as z from 'zod'
import { artifactRefsSchema } from '../../kernel/artifact-ref.ts'
import type { Entry } from '../../kernel/entry.ts'
import { freeText } from '../../kernel/free-text.ts'
import { lineOf, reasonSchema } from '../../kernel/ids.ts'
import { caseIdSchema, eventIdSchema, line, shortLine, targetTypes } from '../../kernel/vocabulary.ts'

const target = z.strictObject({
  name: lineOf(200),
  operation: lineOf(80).optional(),
  target_type: z.enum(targetTypes),
})

/** An event that a caller records, in a run or outside any run. Members are in canonical order. */
export const auditRecordedSchema = z.strictObject({
  /** An `override` records that a rule was set aside, and why. */
  action_type: z.enum(['override', 'system']),
  /** Of an event outside runs. Every entry of a run names the case and lane of the run. */
  case_id: caseIdSchema.optional(),
  corrects: lineOf(120).optional(),
  /** How long what the event tells of took. */
  duration_ms: z.int().min(0).optional(),
  input_artifacts: artifactRefsSchema.optional(),
  lane_id: line.optional(),
  notes: freeText(reasonSchema.max(1_000)).optional(),
  /** Older entries can have `allow` or `deny`. */
  outcome: z.enum(['allow', 'deny', 'failure', 'success']),
  outcome_reason: freeText(reasonSchema.max(200)).optional(),
  output_artifacts: artifactRefsSchema.optional(),
  request_hash_sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/)
    .toLowerCase()
    .optional(),
  response_hash_sha256: z
    .string()
    .regex(/^[0-9a-fA-F]{64}$/)
    .toLowerCase()
    .optional(),
  role_id: line.optional(),
  severity: z.enum(['critical', 'error', 'info', 'warn']).optional(),
  /** The event says what its caller states. Older entries lack this mark. */
  stated: z.literal(true).optional(),
  target: target.optional(),
})

/** A refusal to record what a caller stated. */
const refused = z.strictObject({ code: z.string(), command: z.string(), message: freeText(z.string()) })

/** Refusals that were counted instead of recorded one by one (ADR 0058). Members are in canonical order. */
const refusalsCounted = z.strictObject({
  codes: z.array(z.strictObject({ code: shortLine, count: z.int().min(1) })).min(1),
  count: z.int().min(1),
  /** The event_id of the recorded refusal that they are equal to. Absent for what an actor has above the limit. */
  like: eventIdSchema.optional(),
  message: freeText(z.string()),
  outcome: z.enum(['deny', 'failure']),
  /** When the first of them was refused. */
  since: z.iso.datetime({ precision: 3 }),
  target,
})
export type RefusalsCounted = z.infer<typeof refusalsCounted>

/** Events outside runs share one stream. Events of a run go into the stream of the run. */
export const auditStream = 'audit'

export const auditEventSchemas = {
  'audit.recorded': auditRecordedSchema,
  'audit.refused': refused,
  'audit.refusals_counted': refusalsCounted,
} as const
export type AuditRecorded = z.infer<typeof auditRecordedSchema>

/** The case of an entry: that of its run, or the case that a statement outside runs names. */
export function caseOf({ case_id, data, type }: Pick<Entry, 'case_id' | 'data' | 'type'>): string | undefined {
  return case_id ?? (type === 'audit.recorded' ? (data as AuditRecorded).case_id : undefined)
}
