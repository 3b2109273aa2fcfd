import * as z from 'zod'
import type { Command } from '../../kernel/decider.ts'
import { actorSchema, requestKeySchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { approvalTypes, noteSchema } from '../../kernel/vocabulary.ts'
import { type Exported, exportedSchema } from './exported.ts'

const { bundle_kind, redaction, select, size } = exportedSchema.shape

export const approveSchema = z.strictObject({
  actor: actorSchema.optional(),
  approval_type: z.enum(approvalTypes),
  bundle_kind: bundle_kind.default('internal_review'),
  /** A duration, so that a repeated request has the same content. Without it the approval does not expire. */
  expires_in_s: z.int().min(1).max(limits.tokenSecondsMax).optional(),
  idempotency_key: requestKeySchema.optional(),
  notes: noteSchema.optional(),
  redaction,
  select,
  size: size.optional(),
})

/** Approves one export. */
export interface GiveApproval extends Command {
  approval_id: string
  approval_type: z.output<typeof approveSchema>['approval_type']
  bundle: Exported
  expires_in_s?: number | undefined
  notes?: string | undefined
  type: 'approval.give'
}
