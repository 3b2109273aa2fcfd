import * as z from 'zod'
import { exportBundleSchema, statedSchema } from '../../domain/export/bundle.ts'
import { selectionSchema } from '../../domain/export/selection.ts'
import { actionSchema } from '../../domain/policy/action.ts'
import { actorSchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { approvalTypes, eventIdSchema, line, noteSchema, runIdSchema } from '../../kernel/vocabulary.ts'

// The requests of `ledger.exports`.

export const createExportSchema = statedSchema.extend({
  actor: actorSchema.optional(),
  /** Approvals of this selection by other people: the event_ids that `approve` returned. */
  approvals: z.array(eventIdSchema).max(20).default([]),
  bundle_kind: exportBundleSchema.shape.bundle_kind.default('internal_review'),
  /**
   * The effects that the export declares. An export that may contain entries of several cases needs
   * `cross_case_lookup`.
   */
  effects: actionSchema.shape.effects,
  /** The path of the archive; no file may exist there yet. */
  file: z.string().min(1).max(limits.pathBytes),
  /** The lane that the export run acts in. `role_id` is the actor's role there. */
  lane_id: line,
  parent_run_id: runIdSchema.optional(),
  role_id: line.optional(),
  /** The scope that the lane requires besides the run_id, for example case_id and export_reason. */
  scope: actionSchema.shape.scope.default({}),
  select: selectionSchema,
  /** The size of the tree to export from. Default: the size before the export's own first entry. */
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

/** Finds an export by its bundle or by its run. */
export const getExportSchema = z.union([
  z.strictObject({ bundle_id: exportBundleSchema.shape.bundle_id }),
  z.strictObject({ run_id: runIdSchema }),
])
export type GetExport = z.input<typeof getExportSchema>
