import * as z from 'zod'
import type { Command, Row } from '../../kernel/decider.ts'
import { actorSchema, requestKeySchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import {
  type ErasedTexts,
  type Erasure,
  type ErasureEventData,
  erasureApprovalId,
  erasureForms,
  type Held,
  heldForms,
  holdIdSchema,
  holdReasons,
  textSelectionSchema,
} from './events.ts'

const approval = z.strictObject({
  actor: actorSchema.optional(),
  /** A duration, so that a repeated request has the same content. Without it the approval does not expire. */
  expires_in_s: z.int().min(1).max(limits.tokenSecondsMax).optional(),
  idempotency_key: requestKeySchema.optional(),
})

/** A selection as a caller states it: of all entries, if nothing else is said. */
const { from, to } = textSelectionSchema.shape
const asked = textSelectionSchema.extend({ from: from.default(0), to: to.optional() })
export type AskedTexts = z.output<typeof asked>

/** The forms of an approval, by what may be erased. */
export const approvalForms = {
  digests: approval.extend(erasureForms.digests.shape),
  texts: approval.extend({ ...erasureForms.texts.shape, texts: asked }),
} as const

const erase = z.strictObject({ actor: actorSchema.optional(), approval_id: erasureApprovalId })

/** The forms of an erasure: objects are named again, and the texts are those that the approval selects. */
export const eraseForms = {
  digests: erase.extend(erasureForms.digests.shape),
  texts: erase.extend({ texts: z.literal(true) }),
} as const

export const previewSchema = z.strictObject({ texts: asked })

const hold = z.strictObject({
  actor: actorSchema.optional(),
  idempotency_key: requestKeySchema.optional(),
  reason: z.enum(holdReasons),
})

/** The forms of a hold, by what it covers. */
export const holdForms = {
  all: hold.extend(heldForms.all.shape),
  case_id: hold.extend(heldForms.case_id.shape),
  class: hold.extend(heldForms.class.shape),
  run_id: hold.extend(heldForms.run_id.shape),
} as const

export const liftSchema = z.strictObject({ actor: actorSchema.optional(), hold_id: holdIdSchema })

export const sweepSchema = z.strictObject({ actor: actorSchema.optional(), dry_run: z.boolean().default(false) })

/** What was found out about the objects before the command was queued. */
export interface Found {
  /** A hold that covers one of them. */
  held: string | null
  /** An object that the ledger still needs, and what for. */
  needed: { digest: string; for: 'current' | 'open' | 'structure' } | null
  /** The last entry about holds that was considered; null if there was none. */
  retention_seq: number | null
}

/** What was found out about free texts before the command was queued. */
export interface FoundTexts extends Pick<Found, 'held' | 'retention_seq'> {
  /** The rows that hold some of the texts, derived again without them. The entries since then are added. */
  rows: ReadonlyMap<string, Row>
  texts: readonly ErasedTexts[]
  /** The last entry that erased texts and was considered; null if there was none. */
  texts_seq: number | null
}

interface ApproveErasure extends Command {
  type: 'erasure.approve'
  approval_id: string
  erasure: Erasure
  expires_in_s?: number | undefined
  /** How many free texts there are, and the seq of the first entry that is too much for one erasure. */
  found?: { count: number; next: number | undefined } | undefined
}

interface Erase extends Command {
  type: 'erasure.erase'
  approval_id: string
  erasure: Extract<Erasure, { digests: unknown }>
  found: Found
}

/** Erases the free texts that an approval names. */
interface EraseTexts extends Command {
  type: 'erasure.erase_texts'
  approval_id: string
  found: FoundTexts
}

/** Erases what a class of retention no longer keeps. */
interface EraseDue extends Command {
  type: 'retention.erase'
  class: string
  /** The configuration that says so. */
  config_sha256: string | undefined
  digests: readonly string[]
  found: Found
}

/** The same for free texts. */
interface EraseDueTexts extends Command {
  type: 'retention.erase_texts'
  class: string
  config_sha256: string | undefined
  found: FoundTexts
}

/** Asks only whether the caller may sweep. */
interface AskToSweep extends Command {
  type: 'retention.sweep'
}

interface Hold extends Command, ErasureEventData<'retention.held'> {
  type: 'retention.hold'
  covers: Held
}

interface Lift extends Command, ErasureEventData<'retention.lifted'> {
  type: 'retention.lift'
}

export type ErasureCommand = ApproveErasure | AskToSweep | Erase | EraseDue | EraseDueTexts | EraseTexts | Hold | Lift
