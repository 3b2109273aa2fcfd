import * as z from 'zod'
import { approveSchema } from '../../domain/approval/commands.ts'
import { approvalIdsSchema, selectionSchema } from '../../domain/approval/exported.ts'
import { exportBundleSchema, statedSchema } from '../../domain/export/bundle.ts'
import { actionSchema } from '../../domain/policy/action.ts'
import { actorSchema } from '../../kernel/ids.ts'
import { line, runIdSchema } from '../../kernel/vocabulary.ts'
import { hints } from '../hints.ts'
import { path, seq, size, time } from './basics.ts'

export const approve = approveSchema
export interface ApproveExport extends z.input<typeof approve> {}

const { bundle_id, bundle_kind } = exportBundleSchema.shape
const { effects, scope } = actionSchema.shape

export const create = statedSchema.extend({
  actor: actorSchema.optional(),
  approvals: approvalIdsSchema.default([]),
  bundle_kind: bundle_kind.default('internal_review'),
  effects,
  file: path,
  lane_id: line,
  parent_run_id: runIdSchema.optional(),
  role_id: line.optional(),
  scope: scope.default({}),
  select: selectionSchema,
  size: z.int().min(1).optional(),
})
export interface CreateExport extends z.input<typeof create> {}

export const ofBundle = z.strictObject({ bundle_id })
export interface OfBundle extends z.input<typeof ofBundle> {}

export const ofRun = z.strictObject({ run_id: runIdSchema })
export interface ExportOfRun extends z.input<typeof ofRun> {}

export const approved = z.strictObject({
  approval_id: z.string(),
  event_id: z.string(),
  expires_at: time.nullable(),
  replayed: z.boolean(),
  seq,
  size,
})
/** An approval, and the size of the tree that it binds. */
export interface ApprovedExport extends z.output<typeof approved> {}

export const created = z.strictObject({
  bundle: exportBundleSchema,
  decision_id: z.string(),
  file: z.string(),
  record_file: z.string(),
  run_id: z.string(),
})
/** A bundle that was written: its record, its files, and the run that wrote it. */
export interface CreatedExport extends z.output<typeof created> {}

export const record = z.strictObject({ bundle: exportBundleSchema, event_id: z.string(), run_id: z.string() })
/** The record of a bundle as the ledger keeps it. */
export interface RecordedExport extends z.output<typeof record> {}

hints.add(create, {
  file: { about: 'Where the archive goes. No file may be there yet.', flag: 'out' },
  size: {
    about:
      'The size of the tree that is exported. By default the size that the approvals bind, or all before the export.',
  },
})
hints.add(created, {
  file: { about: 'The archive.' },
  run_id: { about: 'The run that wrote the bundle.' },
})
hints.add(approve, {
  expires_in_s: { about: 'How long the approval lasts. Without it the approval does not expire.' },
  select: { about: 'What may be exported.' },
  size: { about: 'The size of the tree that may be exported. By default all of it, before the approval itself.' },
})
hints.add(approved, {
  expires_at: { about: 'When the approval expires; null if it does not.' },
  size: { about: 'The size of the tree that may be exported.' },
})
