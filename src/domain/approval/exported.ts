import * as z from 'zod'
import { freeText } from '../../kernel/free-text.ts'
import { caseIdSchema, line, noteSchema, runIdSchema, targetNameSchema } from '../../kernel/vocabulary.ts'
import { lockNameSchema } from '../lock/names.ts'

const seq = z.int().min(0)

const ofRun = z.strictObject({ run_id: runIdSchema })
const ofCase = z.strictObject({ case_id: caseIdSchema })
const range = z.strictObject({ from: seq, to: seq })

/**
 * The selection of a bundle: a run with all runs below it, a case, a lock, or a range of entries including both ends.
 */
export const selectionSchema = z.union([
  ofRun,
  ofCase,
  z.strictObject({ lock: lockNameSchema }),
  range.refine(({ from, to }) => from <= to, 'the range ends before it begins'),
])
export type Selection = z.output<typeof selectionSchema>

/** The purpose of a bundle (Run Lifecycle, Contract v1, section 10.2). */
export const bundleKindSchema = z.enum([
  'discovery_production',
  'internal_review',
  'attorney_client_delivery',
  'court_filing_support',
  'expert_review',
  'backup_archive',
  'other',
])

/**
 * What was removed from the content. `withheld` names the free texts that the bundle holds back: its reader sees that
 * they exist, and can check all others. The rest is what the exporter says of earlier redactions.
 */
export const redactionSchema = z.strictObject({
  contains_privileged: z.boolean().nullish(),
  notes: freeText(noteSchema).nullish(),
  redaction_applied: z.boolean(),
  redaction_profile_id: line.nullish(),
  withheld: z
    .array(z.string().regex(/^[a-z_]{1,60}$/))
    .min(1)
    .max(50)
    .optional(),
})
export type Redaction = z.output<typeof redactionSchema>

/** What one export hands out. An approval binds all of it (ADR 0054). Members are in canonical order. */
export const exportedSchema = z.strictObject({
  bundle_kind: bundleKindSchema,
  redaction: redactionSchema.optional(),
  select: selectionSchema,
  /** The size of the exported tree. */
  size: z.int().min(1),
})
export type Exported = z.output<typeof exportedSchema>

export const approvalIdSchema = z
  .string()
  .regex(/^apr_[A-Za-z0-9_-]{16,64}$/, 'must be apr_ and 16 to 64 characters of A-Z a-z 0-9 _ -')

export const approvalIdsSchema = z.array(approvalIdSchema).max(20)

/** What an export action hands out, and the approvals that it names. */
export const askedExportSchema = exportedSchema.extend({ approvals: approvalIdsSchema.optional() })
export type AskedExport = z.output<typeof askedExportSchema>

// The same as entries have it: the name of a lock is the full name.
const recorded = { select: z.union([ofRun, ofCase, z.strictObject({ lock: targetNameSchema }), range]) }
export const recordedExportSchema = exportedSchema.extend(recorded)
export const recordedAskedSchema = askedExportSchema.extend(recorded)

/** A selection as one line of text. */
export function subjectOf(selection: Selection): string {
  if ('run_id' in selection) return `run:${selection.run_id}`
  if ('case_id' in selection) return `case:${selection.case_id}`
  if ('lock' in selection) return `lock:${selection.lock}`
  return `range:${selection.from}..${selection.to}`
}
