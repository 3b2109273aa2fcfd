import * as z from 'zod'
import type { Command } from '../../kernel/decider.ts'
import { actorSchema, requestKeySchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import {
  type Erasure,
  type ErasureEventData,
  erasureApprovalId,
  erasureSchema,
  type Held,
  heldForms,
  holdIdSchema,
  holdReasons,
} from './events.ts'

export const approveErasureSchema = erasureSchema.extend({
  actor: actorSchema.optional(),
  /** A duration, so that a repeated request has the same content. Without it the approval does not expire. */
  expires_in_s: z.int().min(1).max(limits.tokenSecondsMax).optional(),
  idempotency_key: requestKeySchema.optional(),
})

export const eraseSchema = erasureSchema.extend({ actor: actorSchema.optional(), approval_id: erasureApprovalId })

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

interface ApproveErasure extends Command {
  type: 'erasure.approve'
  approval_id: string
  erasure: Erasure
  expires_in_s?: number | undefined
}

interface Erase extends Command {
  type: 'erasure.erase'
  approval_id: string
  erasure: Erasure
  found: Found
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

export type ErasureCommand = ApproveErasure | AskToSweep | Erase | EraseDue | Hold | Lift
