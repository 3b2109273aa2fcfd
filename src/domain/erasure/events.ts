import * as z from 'zod'
import { freeText } from '../../kernel/free-text.ts'
import { limits } from '../../kernel/limits.ts'
import { retentionClassName } from '../../kernel/retention.ts'
import { caseIdSchema, line, runIdSchema, sha256Schema } from '../../kernel/vocabulary.ts'

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

/** A place of free text in an entry (RFC 6901). */
const textPath = z.string().regex(/^(?:\/[A-Za-z0-9_]{1,60}){2,8}$/, 'must be the path of a text, such as /data/reason')
const seq = z.int().min(0)
const fieldsMax = 32

/**
 * The free texts of the entries from one seq up to, and without, another one that meet every condition. A field covers
 * the texts at its path and below it. Members are in canonical order.
 */
export const textSelectionSchema = z.strictObject({
  actor_id: line.optional(),
  case_id: caseIdSchema.optional(),
  fields: z
    .array(textPath)
    .min(1)
    .max(fieldsMax)
    .overwrite((all) => [...new Set(all)].sort())
    .optional(),
  from: seq,
  run_id: runIdSchema.optional(),
  to: seq,
})
export type TextSelection = z.output<typeof textSelectionSchema>

const reason = z.enum(erasureReasons)

/** What a person asks to erase: objects, or free texts of entries. An approval binds all of it. */
export const erasureForms = {
  digests: z.strictObject({ digests, reason }),
  texts: z.strictObject({ reason, texts: textSelectionSchema }),
} as const
const erasureSchema = z.union([erasureForms.digests, erasureForms.texts])
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

/** Objects were erased in the batch of this entry: because a person approved it, or by their class of retention. */
const erased = z.strictObject({
  approval_id: erasureApprovalId.nullable(),
  class: retentionClassName.nullable(),
  digests,
  reason,
})

/** The approval was used to erase this many free texts. The entries that name them follow in the same batch. */
const used = z.strictObject({ approval_id: erasureApprovalId, texts: z.int().min(1) })

/** Free texts of one entry that are erased together. */
const erasedTexts = z.strictObject({ paths: z.array(textPath).min(1), seq })
export type ErasedTexts = z.output<typeof erasedTexts>

/** Free texts of entries were erased in the batch of this entry, for the same causes. */
const textErased = z.strictObject({
  approval_id: erasureApprovalId.nullable(),
  class: retentionClassName.nullable(),
  reason,
  texts: z.array(erasedTexts).min(1).max(limits.erasedPerEntry),
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
  'erasure.used': used,
  'object.erased': erased,
  'retention.held': held,
  'retention.lifted': lifted,
  'text.erased': textErased,
} as const

type ErasureEventType = keyof typeof erasureEventSchemas
export type ErasureEventData<Type extends ErasureEventType> = z.infer<(typeof erasureEventSchemas)[Type]>
export type ErasureEvent = {
  [Type in ErasureEventType]: { type: Type; stream: string; data: ErasureEventData<Type> }
}[ErasureEventType]
