import * as z from 'zod'
import type { Command } from '../decider.ts'
import { actorSchema, lineOf, requestKeySchema } from '../ids.ts'
import { limits } from '../limits.ts'
import { type AuditRecorded, auditRecordedSchema } from './events.ts'

/** What callers hand in: one event or many, appended whole or not at all. */
export const appendSchema = z.array(auditRecordedSchema).min(1).max(limits.auditEventsPerRequestMax)
export type AuditInput = z.input<typeof auditRecordedSchema>

export const appendOptionsSchema = z.strictObject({
  actor: actorSchema.optional(),
  correlation_id: lineOf(120).optional(),
  /** The ledger's size that the caller decided upon; another one is SIZE_MISMATCH. */
  expected_size: z.int().min(0).optional(),
  guard: z.strictObject({ name: lineOf(limits.lockNameBytes), token: z.int().min(0) }).optional(),
  idempotency_key: requestKeySchema.optional(),
})
export type AuditAppendOptions = z.input<typeof appendOptionsSchema>

export interface AppendAudit extends Command {
  type: 'audit.append'
  events: readonly AuditRecorded[]
}
export type AuditCommand = AppendAudit
