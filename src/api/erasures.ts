import type { CallOptions, Operations } from './operation.ts'
import * as shapes from './shapes/erasures.ts'

/** Erasures: texts are removed, and every proof about the entries that name them stays. */
export interface ErasuresApi {
  /**
   * Records that a person approves one erasure: exactly these objects, for this reason. Another operator then erases
   * them. Cost: one append.
   */
  approve(input: shapes.ApproveErasure, options?: CallOptions): Promise<shapes.ApprovedErasure>
  /**
   * Erases objects, and removes what is left of them in the ledger's files. Afterwards the objects read as
   * OBJECT_ERASED. Repeated with the same approval, it is answered again. Cost: one append, a pass over the entries and
   * one over the sovereign state; the tables of the database that have the objects are written again.
   */
  erase(input: shapes.EraseTexts, options?: CallOptions): Promise<shapes.ErasedTexts>
}

export const erasures: Operations<ErasuresApi> = {
  approve: {
    kind: 'command',
    summary: 'Approves the erasure of objects by another person.',
    input: shapes.approve,
    output: shapes.approved,
    errors: ['ERASURE_DENIED', 'CLOCK_AHEAD', 'IDEMPOTENCY_MISMATCH'],
    grants: ['authority', 'operator'],
  },
  erase: {
    kind: 'command',
    summary: 'Erases objects, and keeps every proof.',
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
