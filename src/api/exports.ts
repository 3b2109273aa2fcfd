import { roleOf } from '../domain/approval/state.ts'
import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import * as shapes from './shapes/exports.ts'

/** Exports: entries with their proofs, for readers without the ledger. */
export interface ExportsApi {
  /**
   * Records that a human approves one export: its kind, selection, size and redaction. The human needs the role of the
   * approval type, and another actor makes the export. Cost: one append.
   */
  approve(input: shapes.ApproveExport, options?: CallOptions): Promise<shapes.ApprovedExport>
  /**
   * Writes a bundle as the only action of a separate run. The same selection, size and statements give the same bytes.
   * If it fails, it leaves no file. Cost: three appends; two reads and one proof for each entry.
   */
  create(input: shapes.CreateExport, options?: CallOptions): Promise<shapes.CreatedExport>
  /** The record of a bundle: of its newest export, or of the export that a run made. */
  get(input: shapes.OfBundle | shapes.ExportOfRun, options?: CallOptions): Promise<shapes.RecordedExport>
}

export const exports: Operations<ExportsApi> = {
  approve: {
    kind: 'command',
    summary: 'Records that a human approves one export.',
    input: shapes.approve,
    output: shapes.approved,
    errors: ['APPROVAL_DENIED', 'CLOCK_AHEAD', 'IDEMPOTENCY_MISMATCH'],
    roleFor: ({ approval_type }) => roleOf(approval_type),
    grants: ['authority', 'operator'],
  },
  create: {
    kind: 'command',
    summary: 'Writes an export bundle.',
    input: shapes.create,
    output: shapes.created,
    errors: [
      'RUN_DENIED',
      'NOT_FOUND',
      'FREE_TEXT_DENIED',
      'NOT_RUN_ACTOR',
      'RUN_ANCESTOR_ENDED',
      'RUN_NOT_ACTIVE',
      'RUN_LEASE_EXPIRED',
      'DECISION_NOT_OPEN',
      'INVALID_STATE_TRANSITION',
      'KEY_MISSING',
      'KEY_NOT_IN_FORCE',
      'SIGNER_FAILED',
      'FILE_DENIED',
      'FILE_FAILED',
      'FILE_READ_ONLY',
    ],
    grants: ['operator'],
    waits: () => true,
  },
  get: {
    kind: 'query',
    summary: 'Shows the record of an export bundle.',
    input: { bundle_id: shapes.ofBundle, run_id: shapes.ofRun },
    output: shapes.record,
    errors: ['NOT_FOUND', 'OBJECT_ERASED'],
    grants: anyGrant,
  },
}
