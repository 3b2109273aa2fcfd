import * as z from 'zod'
import { freeText } from '../../kernel/free-text.ts'
import { approvalTypes, noteSchema, runIdSchema } from '../../kernel/vocabulary.ts'
import { approvalIdSchema, recordedExportSchema } from './exported.ts'

/** A human approves one export. The entry's actor has the role of the approval type. Members are in canonical order. */
const given = z.strictObject({
  approval_id: approvalIdSchema,
  approval_type: z.enum(approvalTypes),
  bundle: recordedExportSchema,
  expires_at: z.iso.datetime({ precision: 3 }).nullable(),
  notes: freeText(noteSchema).optional(),
})

/** An export that was allowed used the approval. The decision follows in the same append. */
const used = z.strictObject({ approval_id: approvalIdSchema, run_id: runIdSchema })

const refused = z.strictObject({
  approval_type: z.enum(approvalTypes),
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
  rule_id: z.string(),
})

/** Every event of approvals, by type. */
export const approvalEventSchemas = {
  'approval.given': given,
  'approval.used': used,
  'approval.refused': refused,
} as const

type ApprovalEventType = keyof typeof approvalEventSchemas
export type ApprovalEventData<Type extends ApprovalEventType> = z.infer<(typeof approvalEventSchemas)[Type]>
export type ApprovalEvent = {
  [Type in ApprovalEventType]: { type: Type; stream: string; data: ApprovalEventData<Type> }
}[ApprovalEventType]
