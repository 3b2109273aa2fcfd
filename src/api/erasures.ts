import type { CallOptions, Operations } from './operation.ts'
import * as shapes from './shapes/erasures.ts'

/** Erasures: texts are removed, and every proof about the entries that name them stays. */
export interface ErasuresApi {
  /**
   * The free texts of entries that an erasure would remove. Cost: one pass over the entries, and one read for each that
   * is selected.
   */
  preview(input: shapes.PreviewErasure, options?: CallOptions): Promise<shapes.PreviewedErasure>
  /**
   * Records that a person approves one erasure for one reason: exactly these objects, or the free texts of the entries
   * that are selected. Another operator then erases them. Cost: one append, and for free texts that of `preview`.
   */
  approve(input: shapes.ApproveErasure, options?: CallOptions): Promise<shapes.ApprovedErasure>
  /**
   * Erases objects or free texts, and removes what is left of them in the ledger's files. Afterwards the objects read as
   * OBJECT_ERASED, and each text as `[erased]`. Repeated with the same approval, it is answered again. Cost: one append,
   * and a pass over the entries. For objects, also one over the sovereign state; for free texts, also one read for each
   * entry of the runs and approvals whose texts are erased. The tables of the database that have the texts are written
   * again.
   */
  erase(input: shapes.EraseTexts, options?: CallOptions): Promise<shapes.ErasedTexts>
}

export const erasures: Operations<ErasuresApi> = {
  preview: {
    kind: 'query',
    summary: 'Shows which free texts of entries an erasure would remove.',
    input: shapes.preview,
    output: shapes.shownErasure,
    errors: [],
    grants: ['authority', 'operator'],
    waits: () => true,
  },
  approve: {
    kind: 'command',
    summary: 'Approves the erasure of objects or free texts by another person.',
    input: shapes.approve,
    output: shapes.approved,
    errors: ['ERASURE_DENIED', 'NOT_FOUND', 'CLOCK_AHEAD', 'IDEMPOTENCY_MISMATCH'],
    grants: ['authority', 'operator'],
  },
  erase: {
    kind: 'command',
    summary: 'Erases objects or free texts, and keeps every proof.',
    input: shapes.erase,
    output: shapes.erased,
    errors: [
      'ERASURE_DENIED',
      'NOT_FOUND',
      'OBJECT_IN_USE',
      'LEGAL_HOLD',
      'FILE_DENIED',
      'FILE_READ_ONLY',
      'FILE_FAILED',
    ],
    grants: ['operator'],
    waits: () => true,
  },
}
