import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import { type Nothing, nothing } from './shapes/basics.ts'
import * as shapes from './shapes/retention.ts'

/** Retention: how long texts are kept, and the legal holds that keep them longer. */
export interface RetentionApi {
  /** Sets a legal hold. Nothing that it covers is erased until it is lifted. Cost: one append. */
  hold(input: shapes.HoldTexts, options?: CallOptions): Promise<shapes.HeldTexts>
  /** Lifts a legal hold. Cost: one append. */
  lift(input: shapes.LiftHold, options?: CallOptions): Promise<shapes.LiftedHold>
  /** The classes in force, with their times, and the legal holds. Cost: two reads. */
  show(input?: Nothing, options?: CallOptions): Promise<shapes.ShownRetention>
  /**
   * Erases what the classes no longer keep. A service does this by itself. Cost: two passes over the entries, one over
   * the sovereign state for every 8,192 objects, and one append for every 256; other calls run in between.
   */
  sweep(input?: shapes.SweepTexts, options?: CallOptions): Promise<shapes.SweptTexts>
}

const grants = ['authority', 'operator'] as const

export const retention: Operations<RetentionApi> = {
  hold: {
    kind: 'command',
    summary: 'Sets a legal hold, which keeps texts from being erased.',
    input: shapes.hold,
    output: shapes.held,
    errors: ['ERASURE_DENIED', 'IDEMPOTENCY_MISMATCH'],
    grants,
  },
  lift: {
    kind: 'command',
    summary: 'Lifts a legal hold.',
    input: shapes.lift,
    output: shapes.lifted,
    errors: ['ERASURE_DENIED', 'NOT_FOUND'],
    grants,
  },
  show: {
    kind: 'query',
    summary: 'Shows how long texts are kept, and the legal holds.',
    input: nothing,
    output: shapes.shown,
    errors: [],
    grants: anyGrant,
  },
  sweep: {
    kind: 'command',
    summary: 'Erases the texts that their class of retention no longer keeps.',
    input: shapes.sweep,
    output: shapes.swept,
    errors: ['ERASURE_DENIED', 'OBJECT_IN_USE', 'LEGAL_HOLD', 'FILE_DENIED', 'FILE_READ_ONLY', 'FILE_FAILED'],
    grants: ['operator'],
    waits: () => true,
  },
}
