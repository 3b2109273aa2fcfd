import * as z from 'zod'
import { approvalForms, eraseForms, previewSchema } from '../../domain/erasure/commands.ts'
import { erasureEventSchemas, holdIdSchema, textSelectionSchema } from '../../domain/erasure/events.ts'
import { sha256Schema } from '../../kernel/vocabulary.ts'
import { hints } from '../hints.ts'
import { files, seq } from './basics.ts'

export const approve = approvalForms
export interface ApproveObjects extends z.input<typeof approve.digests> {}
export interface ApproveTexts extends z.input<typeof approve.texts> {}
export type ApproveErasure = ApproveObjects | ApproveTexts

export const erase = eraseForms
export interface EraseObjects extends z.input<typeof erase.digests> {}
export interface EraseApprovedTexts extends z.input<typeof erase.texts> {}
export type EraseTexts = EraseApprovedTexts | EraseObjects

export const preview = previewSchema
export interface PreviewErasure extends z.input<typeof preview> {}

const { approval_id, expires_at } = erasureEventSchemas['erasure.approved'].shape
const { reason } = erasureEventSchemas['object.erased'].shape
const digests = z.array(sha256Schema)
const count = z.int().min(0)

export const approved = z.strictObject({
  approval_id,
  digests,
  event_id: z.string(),
  expires_at,
  reason,
  replayed: z.boolean(),
  seq,
  texts: textSelectionSchema.nullable(),
})
/** An approval of one erasure. */
export interface ApprovedErasure extends z.output<typeof approved> {}

export const erased = z.strictObject({
  approval_id,
  digests,
  event_id: z.string(),
  files,
  may_remain: z.array(z.string()),
  reason,
  replayed: z.boolean(),
  seq,
  texts: count,
})
/** Texts that were erased, and where copies of the ledger's files from before may remain. */
export interface ErasedTexts extends z.output<typeof erased> {}

const previewed = z.strictObject({ paths: z.array(z.string()), seq })
export const shownErasure = z.strictObject({
  count,
  hold_id: holdIdSchema.nullable(),
  more: z.boolean(),
  selection: textSelectionSchema,
  texts: z.array(previewed),
})
/** The free texts that an erasure would remove. */
export interface PreviewedErasure extends z.output<typeof shownErasure> {}

const reasonHint = { reason: { about: 'Why the texts are erased.' } }
const objectsHint = { ...reasonHint, digests: { about: 'The SHA-256 of each object to erase.', flag: 'digest' } }
const approvalHint = {
  expires_in_s: { about: 'How long the approval lasts. Without it the approval does not expire.' },
}
const textsHint = { texts: { about: 'The free texts of the entries that meet every condition.' } }
const selectionHint = {
  actor_id: { about: 'Only texts of entries by this actor.', flag: 'actor-id' },
  case_id: { about: 'Only texts of entries of this case.' },
  fields: { about: 'Only texts at this path of an entry or below it, such as `/data/reason`.', flag: 'field' },
  from: { about: 'The first entry.' },
  run_id: { about: 'Only texts of entries of this run.' },
  to: { about: 'The entry to stop at, which is not included.' },
}
hints.add(approve.digests, { ...objectsHint, ...approvalHint })
hints.add(approve.texts, { ...reasonHint, ...approvalHint, ...textsHint })
hints.add(approve.texts.shape.texts, selectionHint)
hints.add(erase.digests, {
  ...objectsHint,
  approval_id: { about: 'The approval of exactly this erasure by another person.' },
})
hints.add(erase.texts, {
  approval_id: { about: 'The approval by another person.' },
  texts: { about: 'Erase the free texts that the approval selects.' },
})
hints.add(preview, textsHint)
hints.add(textSelectionSchema, selectionHint)
hints.add(approved, {
  digests: { about: 'The SHA-256 of each object that may be erased; empty if free texts may be.' },
  expires_at: { about: 'When the approval expires; null if it never does.' },
  replayed: { about: 'Whether an earlier request with the same key gave the approval.' },
  texts: { about: 'The free texts that may be erased; null if objects may be.' },
})
hints.add(erased, {
  digests: { about: 'The SHA-256 of each erased object.' },
  files: {
    about: 'Whether nothing of the texts is left in the ledger’s files, or a reader still keeps some of the files.',
  },
  may_remain: { about: 'Folders with copies of the ledger’s files from before, which nothing removes.' },
  replayed: { about: 'Whether the texts were erased already with this approval.' },
  seq: { about: 'The entry that records the erasure.' },
  texts: { about: 'How many free texts of entries were erased.' },
})
hints.add(shownErasure, {
  count: { about: 'How many texts there are.' },
  hold_id: { about: 'A legal hold that covers some of them; null if none does.' },
  more: { about: 'Whether there are more texts than one erasure can remove. Those behind `to` are left for another.' },
  selection: { about: 'The selection, with the entries that it covers. An approval of it erases exactly these texts.' },
  texts: { about: 'The texts, by entry.' },
})
hints.add(previewed, {
  paths: { about: 'The places of the texts in the entry.' },
})
