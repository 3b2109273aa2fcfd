import * as z from 'zod'
import { freeText } from '../../kernel/free-text.ts'
import { limits } from '../../kernel/limits.ts'
import { retentionClassName } from '../../kernel/retention.ts'
import { caseIdSchema, runIdSchema, sha256Schema } from '../../kernel/vocabulary.ts'

/** Why a text is erased. A code, because a sentence could repeat what is erased. */
const erasureReasons = [
  'collected_in_error',
  'consent_withdrawn',
  'court_order',
  'data_subject_request',
  'legal_obligation',
  'retention_expired',
  'secret_leaked',
] as const

/** Why texts are held. */
export const holdReasons = ['audit', 'investigation', 'litigation', 'other', 'regulator'] as const

export const erasureApprovalId = z
  .string()
  .regex(/^era_[A-Za-z0-9_-]{16,64}$/, 'must be era_ and 16 to 64 characters of A-Z a-z 0-9 _ -')
export const holdIdSchema = z
  .string()
  .regex(/^hld_[A-Za-z0-9_-]{16,64}$/, 'must be hld_ and 16 to 64 characters of A-Z a-z 0-9 _ -')

/** Each digest once, in their order, so that one set of objects has one form. */
const digests = z
  .array(sha256Schema)
  .min(1)
  .max(limits.erasedPerEntry)
  .overwrite((all) => [...new Set(all)].sort())

/** What a person asks to erase. An approval binds all of it. Members are in canonical order. */
export const erasureSchema = z.strictObject({ digests, reason: z.enum(erasureReasons) })
export type Erasure = z.output<typeof erasureSchema>

/** What a legal hold covers: everything, the objects of a class, or those that the entries of a run or a case name. */
export const heldForms = {
  all: z.strictObject({ all: z.literal(true) }),
  case_id: z.strictObject({ case_id: caseIdSchema }),
  class: z.strictObject({ class: retentionClassName }),
  run_id: z.strictObject({ run_id: runIdSchema }),
} as const
const heldSchema = z.union([heldForms.all, heldForms.case_id, heldForms.class, heldForms.run_id])
export type Held = z.output<typeof heldSchema>

const approved = z.strictObject({
  approval_id: erasureApprovalId,
  erasure: erasureSchema,
  expires_at: z.iso.datetime({ precision: 3 }).nullable(),
})

/** Texts were erased in the batch of this entry: because a person approved it, or by their class of retention. */
const erased = z.strictObject({
  approval_id: erasureApprovalId.nullable(),
  class: retentionClassName.nullable(),
  ...erasureSchema.shape,
})

const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
  repeats: z.int().min(1).optional(),
  rule_id: z.string(),
})

const held = z.strictObject({ covers: heldSchema, hold_id: holdIdSchema, reason: z.enum(holdReasons) })
const lifted = z.strictObject({ hold_id: holdIdSchema })

export const erasureEventSchemas = {
  'erasure.approved': approved,
  'erasure.refused': refused,
  'object.erased': erased,
  'retention.held': held,
  'retention.lifted': lifted,
} as const

type ErasureEventType = keyof typeof erasureEventSchemas
export type ErasureEventData<Type extends ErasureEventType> = z.infer<(typeof erasureEventSchemas)[Type]>
export type ErasureEvent = {
  [Type in ErasureEventType]: { type: Type; stream: string; data: ErasureEventData<Type> }
}[ErasureEventType]
