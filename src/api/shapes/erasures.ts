import * as z from 'zod'
import { approveErasureSchema, eraseSchema } from '../../domain/erasure/commands.ts'
import { erasureEventSchemas } from '../../domain/erasure/events.ts'
import { hints } from '../hints.ts'
import { files, seq } from './basics.ts'

export const approve = approveErasureSchema
export interface ApproveErasure extends z.input<typeof approve> {}

export const erase = eraseSchema
export interface EraseTexts extends z.input<typeof erase> {}

const { approval_id, expires_at } = erasureEventSchemas['erasure.approved'].shape
const { digests, reason } = erasureEventSchemas['object.erased'].shape

export const approved = z.strictObject({
  approval_id,
  digests,
  event_id: z.string(),
  expires_at,
  reason,
  replayed: z.boolean(),
  seq,
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
})
/** Texts that were erased, and where copies of the ledger's files from before may remain. */
export interface ErasedTexts extends z.output<typeof erased> {}

const asked = {
  digests: { about: 'The SHA-256 of each object to erase.', flag: 'digest' },
  reason: { about: 'Why the texts are erased.' },
}
hints.add(approve, {
  ...asked,
  expires_in_s: { about: 'How long the approval lasts. Without it the approval does not expire.' },
})
hints.add(erase, { ...asked, approval_id: { about: 'The approval of exactly this erasure by another person.' } })
hints.add(approved, {
  digests: { about: 'The SHA-256 of each object that may be erased.' },
  expires_at: { about: 'When the approval expires; null if it never does.' },
  replayed: { about: 'Whether an earlier request with the same key gave the approval.' },
})
hints.add(erased, {
  digests: { about: 'The SHA-256 of each erased object.' },
  files: {
    about: 'Whether nothing of the texts is left in the ledger’s files, or a reader still keeps some of the files.',
  },
  may_remain: { about: 'Folders with copies of the ledger’s files from before, which nothing removes.' },
  replayed: { about: 'Whether the texts were erased already with this approval.' },
  seq: { about: 'The entry that records the erasure.' },
})
