import * as z from 'zod'
import * as commands from '../../domain/turn/commands.ts'
import { issueSchema } from '../../domain/turn/issue.ts'
import { promotionResultSchema } from '../../domain/turn/triplet.ts'
import { hints } from '../hints.ts'
import { hash, seq } from './basics.ts'

export const stage = commands.stageSchema
export interface StageTurn extends z.input<typeof stage> {}

export const validate = commands.validateSchema
export interface ValidateTurn extends z.input<typeof validate> {}

export const promote = commands.promoteSchema
export interface PromoteTurn extends z.input<typeof promote> {}

export const apply = commands.applySchema
export interface ApplyTurn extends z.input<typeof apply> {}

export const reject = commands.rejectSchema
export interface RejectTurn extends z.input<typeof reject> {}

export const ofTurn = commands.ofTurnSchema
export interface OfTurn extends z.input<typeof ofTurn> {}

export const list = commands.listTurnsSchema
export interface ListTurns extends z.input<typeof list> {}

const answer = {
  event_id: z.string(),
  issues: z.array(issueSchema),
  replayed: z.boolean(),
  run_id: z.string(),
  seq,
  turn_id: z.string(),
}

const count = z.int().min(0)
export const staged = z.strictObject({
  ...answer,
  bytes: count,
  counts: z.strictObject({ delete_stem: count, tombstones: count, triplets: count }),
  manifest_digest: hash,
  outcome: z.literal('PASS'),
})
/** A proposal that the ledger holds. `manifest_digest` is the digest of the object that names all its parts. */
export interface StagedTurn extends z.output<typeof staged> {}

export const verdict = z.strictObject({
  ...answer,
  manifest_digest: hash.nullable(),
  outcome: z.enum(['PASS', 'FAIL']),
})
/** The result of a validation. */
export interface TurnVerdict extends z.output<typeof verdict> {}

const { deleted_stems, delta_digest, outcome, promoted_stems } = promotionResultSchema.shape
export const promoted = z.strictObject({ ...answer, deleted_stems, delta_digest, outcome, promoted_stems })
/** The result of a promotion: the stems that it wrote and those that it deleted. */
export interface PromotedTurn extends z.output<typeof promoted> {}

export const status = z.strictObject({
  event_id: z.string(),
  issues: z.array(issueSchema),
  manifest_digest: hash.nullable(),
  promotion: z.strictObject({ deleted_stems, delta_digest, outcome, promoted_stems }).exactOptional(),
  run_id: z.string(),
  seq,
  status: z.enum(['failed', 'promoted', 'refused', 'rejected', 'staged', 'validated']),
  time: z.string(),
  turn_id: z.string(),
})
/** The state of a turn. `promotion` is present once the turn is promoted. */
export interface TurnState extends z.output<typeof status> {}

export const listed = z.strictObject({
  last_promoted_turn_id: z.string(),
  next: seq.nullable(),
  phase: z.string(),
  run_id: z.string(),
  turns: z.array(status.pick({ event_id: true, seq: true, status: true, time: true, turn_id: true })),
  workspace: z.string(),
})
export interface TurnList extends z.output<typeof listed> {}

hints.add(list, {
  cursor: { about: 'Where to continue: `next` of the page before. Pages go back from the last turn.' },
})
hints.add(reject, { reason: { about: 'Why the proposal is discarded.' } })
hints.add(status, { status: { about: 'The state of the turn.' } })
hints.add(listed, { next: { about: 'The cursor for the turns before these; null if there are no earlier turns.' } })
for (const shape of [staged, verdict, promoted])
  hints.add(shape, { outcome: { about: 'PASS, or FAIL with the reasons in `issues`.' } })
