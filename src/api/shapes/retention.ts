import * as z from 'zod'
import { holdForms, liftSchema, sweepSchema } from '../../domain/erasure/commands.ts'
import { erasureEventSchemas } from '../../domain/erasure/events.ts'
import { retainedKinds, retentionClassName } from '../../kernel/retention.ts'
import { hints } from '../hints.ts'
import { files, seq, time } from './basics.ts'

export const hold = holdForms
export interface HoldAll extends z.input<typeof hold.all> {}
export interface HoldCase extends z.input<typeof hold.case_id> {}
export interface HoldClass extends z.input<typeof hold.class> {}
export interface HoldRun extends z.input<typeof hold.run_id> {}
export type HoldTexts = HoldAll | HoldCase | HoldClass | HoldRun

export const lift = liftSchema
export interface LiftHold extends z.input<typeof lift> {}

export const sweep = sweepSchema
export interface SweepTexts extends z.input<typeof sweep> {}

const { covers, hold_id, reason } = erasureEventSchemas['retention.held'].shape

export const held = z.strictObject({ covers, event_id: z.string(), hold_id, reason, replayed: z.boolean(), seq })
/** A legal hold that was set. */
export interface HeldTexts extends z.output<typeof held> {}

export const lifted = z.strictObject({ event_id: z.string(), hold_id, seq })
/** A legal hold that was lifted. */
export interface LiftedHold extends z.output<typeof lifted> {}

const seconds = z.int().min(0)
const count = z.int().min(0)
const shownClass = z.strictObject({
  class: retentionClassName,
  covers: z.array(z.enum(retainedKinds)),
  delete_after_s: seconds,
})
export const shown = z.strictObject({
  classes: z.array(shownClass),
  holds: z.array(z.strictObject({ covers, hold_id, reason, seq, time })),
  minimum_s: seconds,
})
/** The classes of retention, and the legal holds in force. */
export interface ShownRetention extends z.output<typeof shown> {}

const sweptClass = z.strictObject({ class: retentionClassName, erased: count })
export const swept = z.strictObject({
  classes: z.array(sweptClass),
  dry_run: z.boolean(),
  files,
  held: count,
  may_remain: z.array(z.string()),
})
/** What a sweep erased, or would erase. */
export interface SweptTexts extends z.output<typeof swept> {}

const ofHold = { reason: { about: 'Why the texts are held.' } }
hints.add(hold.all, { ...ofHold, all: { about: 'Hold every text of the ledger.' } })
hints.add(hold.case_id, { ...ofHold, case_id: { about: 'Hold what the entries of this case name.' } })
hints.add(hold.class, { ...ofHold, class: { about: 'Hold the texts of this class of retention.' } })
hints.add(hold.run_id, { ...ofHold, run_id: { about: 'Hold what the entries of this run name.' } })
hints.add(sweep, { dry_run: { about: 'Only count what would be erased.' } })
hints.add(lift, { hold_id: { about: 'The hold to lift.' } })
hints.add(held, {
  covers: { about: 'What the hold covers.' },
  hold_id: { about: 'The hold, to lift it with.' },
  replayed: { about: 'Whether an earlier request with the same key set the hold.' },
})
hints.add(shown, {
  classes: { about: 'The classes of the configuration in force.' },
  holds: { about: 'The legal holds in force, oldest first.' },
  minimum_s: { about: 'How long every text is kept at least, in seconds.' },
})
hints.add(shownClass, {
  class: { about: 'The name of the class.' },
  covers: { about: 'The kinds of object that the class covers.' },
  delete_after_s: { about: 'How long after the last entry that named it an object is erased, in seconds.' },
})
hints.add(swept, {
  classes: { about: 'How many objects of each class were erased, or would be.' },
  dry_run: { about: 'Whether nothing was erased.' },
  files: {
    about: 'Whether nothing of the texts is left in the ledger’s files, or a reader still keeps some of the files.',
  },
  held: { about: 'How many objects are due but held.' },
  may_remain: { about: 'Folders with copies of the ledger’s files from before, which nothing removes.' },
})
hints.add(sweptClass, { erased: { about: 'How many objects of the class.' } })
