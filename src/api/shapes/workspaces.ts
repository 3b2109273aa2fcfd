import * as z from 'zod'
import { pinEventSchemas, pinSchema, unpinSchema } from '../../domain/turn/pin.ts'
import { tripletSchema } from '../../domain/turn/triplet.ts'
import { line, runIdSchema } from '../../kernel/vocabulary.ts'
import { hints } from '../hints.ts'
import { files, hash, seq, size } from './basics.ts'

// A workspace is named by its workflow, or by the run where the run has none: two forms of each input.

export const ofRun = z.strictObject({ run_id: runIdSchema })
export interface WorkspaceOfRun extends z.input<typeof ofRun> {}

export const ofWorkflow = z.strictObject({ workflow_id: line })
export interface WorkspaceOfWorkflow extends z.input<typeof ofWorkflow> {}

const at = { at: size.optional() }
export const digestOfRun = ofRun.extend(at)
export interface DigestOfRun extends z.input<typeof digestOfRun> {}

export const digestOfWorkflow = ofWorkflow.extend(at)
export interface DigestOfWorkflow extends z.input<typeof digestOfWorkflow> {}

const ofStem = { stem: z.string() }
export const stemOfRun = ofRun.extend(ofStem)
export interface StemOfRun extends z.input<typeof stemOfRun> {}

export const stemOfWorkflow = ofWorkflow.extend(ofStem)
export interface StemOfWorkflow extends z.input<typeof stemOfWorkflow> {}

const ofCheck = { rebuild: z.boolean().default(false) }
export const checkOfRun = ofRun.extend(ofCheck)
export interface CheckOfRun extends z.input<typeof checkOfRun> {}

export const checkOfWorkflow = ofWorkflow.extend(ofCheck)
export interface CheckOfWorkflow extends z.input<typeof checkOfWorkflow> {}

export const ofObject = z.strictObject({ digest: hash })
export interface OfObject extends z.input<typeof ofObject> {}

export const triplet = tripletSchema

const source = z.strictObject({
  artifact_digest: hash,
  location: z.string(),
  relationship: z.string().nullable(),
  stem: z.string(),
})
export const ref = z.strictObject({ id: z.string(), sources: z.array(source), type: z.string() })
/** The links that point to one target. The record does not say that the target exists. */
export interface RefSources extends z.output<typeof ref> {}

const value = z.record(z.string(), z.json())
export const object = z.strictObject({ digest: hash, text: z.string(), value })
/** An object that entries name. `text` is its RFC 8785 form, which the digest is made over. */
export interface LedgerObject extends z.output<typeof object> {}

export const digest = z.strictObject({ size, state_digest: hash, workspace: z.string() })
export interface WorkspaceDigest extends z.output<typeof digest> {}

export const shownStem = z.strictObject({
  body: value,
  links: value,
  manifest: value,
  referenced_by: z.array(source),
  triplet,
  triplet_digest: hash,
})
/** A promoted stem with its three objects and the links that point to its identity. */
export interface ShownStem extends z.output<typeof shownStem> {}

export const filesState = z.strictObject({ files })
export interface FilesState extends z.output<typeof filesState> {}

export const checkedFiles = z.strictObject({ files: z.int().min(0), folder: z.string() })
export interface ComparedFiles extends z.output<typeof checkedFiles> {}

export const pin = pinSchema
export interface PinTurn extends z.input<typeof pin> {}

export const unpin = unpinSchema
export interface UnpinTurn extends z.input<typeof unpin> {}

const shownPin = pinEventSchemas['turn.pinned'].extend({ folder: z.string(), seq })
/** A pin: the turn that it keeps, the digest of the state after it, and the folder of its files. */
export interface ShownPin extends z.output<typeof shownPin> {}

export const pinned = shownPin.extend({ replayed: z.boolean() })
export interface PinnedTurn extends z.output<typeof pinned> {}

export const unpinned = pinEventSchemas['turn.unpinned'].omit({ run_id: true }).extend({ seq })
export interface UnpinnedTurn extends z.output<typeof unpinned> {}

export const pinList = z.strictObject({ pins: z.array(shownPin), workspace: z.string() })
export interface PinList extends z.output<typeof pinList> {}

hints.add(ref, { type: { about: 'The type of the target.' } })
hints.add(checkedFiles, {
  files: { about: 'How many files the workspace has.' },
  folder: { about: 'The folder of the workspace.' },
})
for (const shape of [digestOfRun, digestOfWorkflow, stemOfRun, stemOfWorkflow, checkOfRun, checkOfWorkflow, ofRun])
  hints.add(shape, { run_id: { about: 'A run of the workspace.' } })
for (const shape of [pin, unpin, shownPin, pinned, unpinned])
  hints.add(shape, { name: { about: 'The name of the pin.' } })
for (const shape of [shownPin, pinned]) {
  hints.add(shape, {
    folder: { about: 'The folder of the pin. Its files are written after the answer.' },
    seq: { about: 'The seq of the entry that records the pin.' },
    size: { about: 'The number of entries up to and including the promotion.' },
  })
}
hints.add(pin, { turn_id: { about: 'The promoted turn. By default the last promoted turn of the run.' } })
