import * as z from 'zod'
import { actionSchema } from '../core/action.ts'
import { exportBundleSchema, statedSchema } from '../core/export-bundle.ts'
import { selectionSchema } from '../core/export-selection.ts'
import { actorSchema } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { approvalTypes, eventIdSchema, line, noteSchema, runIdSchema } from '../core/vocabulary.ts'

// What callers of `ledger.exports` hand in.

export const createExportSchema = statedSchema.extend({
  actor: actorSchema.optional(),
  /** Events by which others approved of this selection: the event_ids that `approve` gave. */
  approvals: z.array(eventIdSchema).max(20).default([]),
  bundle_kind: exportBundleSchema.shape.bundle_kind.default('internal_review'),
  /** What the export brings with it; `cross_case_lookup` where it may hold entries of several cases. */
  effects: actionSchema.shape.effects,
  /** Where the archive goes; nothing may be there yet. */
  file: z.string().min(1).max(limits.pathBytes),
  /** The lane that the export run acts in, and the role its actor has there. */
  lane_id: line,
  parent_run_id: runIdSchema.optional(),
  role_id: line.optional(),
  /** What the lane requires beside the run_id, as case_id and export_reason. */
  scope: actionSchema.shape.scope.default({}),
  select: selectionSchema,
  /** The size of the tree that is exported from; by default that before the export's own first entry. */
  size: z.int().min(1).optional(),
})
export type CreateExport = z.input<typeof createExportSchema>

export const approveSchema = z.strictObject({
  actor: actorSchema.optional(),
  approval_type: z.enum(approvalTypes),
  notes: noteSchema.optional(),
  select: selectionSchema,
})
export type ApproveExport = z.input<typeof approveSchema>

/** A bundle by its id, or the run that exported it. */
export const getExportSchema = z.union([
  z.strictObject({ bundle_id: exportBundleSchema.shape.bundle_id }),
  z.strictObject({ run_id: runIdSchema }),
])
export type GetExport = z.input<typeof getExportSchema>
