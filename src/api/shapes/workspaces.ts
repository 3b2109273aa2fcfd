import * as z from 'zod'
import { tripletSchema } from '../../domain/turn/triplet.ts'
import { line, runIdSchema } from '../../kernel/vocabulary.ts'
import { hints } from '../hints.ts'
import { files, hash, size } from './basics.ts'

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
})
/** A promoted stem with its three objects and the links that point to its identity. */
export interface ShownStem extends z.output<typeof shownStem> {}

export const filesState = z.strictObject({ files })
export interface FilesState extends z.output<typeof filesState> {}

export const checkedFiles = z.strictObject({ files: z.int().min(0), folder: z.string() })
export interface ComparedFiles extends z.output<typeof checkedFiles> {}

hints.add(ref, { type: { about: 'The type of the target.' } })
hints.add(checkedFiles, {
  files: { about: 'How many files the workspace has.' },
  folder: { about: 'The folder of the workspace.' },
})
for (const shape of [digestOfRun, digestOfWorkflow, stemOfRun, stemOfWorkflow, checkOfRun, checkOfWorkflow, ofRun])
  hints.add(shape, { run_id: { about: 'A run of the workspace.' } })
