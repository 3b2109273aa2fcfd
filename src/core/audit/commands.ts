import * as z from 'zod'
import { artifactRefsSchema } from '../artifact-ref.ts'
import type { Command } from '../decider.ts'
import { actorSchema, lineOf, requestKeySchema } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Policies } from '../policies.ts'
import { line, noteSchema, privilegedActions, runIdSchema, shortLine } from '../vocabulary.ts'
import { auditRecordedSchema } from './events.ts'

const error = z.strictObject({ error_code: shortLine, message: noteSchema.max(2_000), retryable: z.boolean() })

/**
 * What callers hand in. With a `run_id` it is of that run; the action types that take a decision first need one, and
 * the `decision_id` of the allow.
 */
const auditInputSchema = auditRecordedSchema
  .extend({
    action_type: z.enum(['system', 'override', ...privilegedActions]),
    decision_id: line.optional(),
    error: error.optional(),
    output_artifacts: artifactRefsSchema.optional(),
    run_id: runIdSchema.optional(),
  })
  .superRefine((event, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    const { action_type, outcome } = event
    if (action_type === 'system' || action_type === 'override') {
      if (action_type === 'override' && event.outcome_reason === undefined)
        issue('outcome_reason', 'is required for override')
      for (const path of ['decision_id', 'error', 'output_artifacts'] as const) {
        if (event[path] !== undefined) issue(path, 'is for actions under a decision only')
      }
      return
    }
    for (const path of ['run_id', 'decision_id'] as const) {
      if (event[path] === undefined) issue(path, `is required for ${action_type}`)
    }
    for (const path of ['corrects', 'notes', 'severity'] as const) {
      if (event[path] !== undefined) issue(path, 'is for system and override events only')
    }
    if (outcome !== 'failure' && outcome !== 'success') issue('outcome', 'of an action is success or failure')
  })
export type AuditInput = z.input<typeof auditInputSchema>

/** One event or many, appended whole or not at all: all of one run, or none of any. */
export const appendSchema = z
  .array(auditInputSchema)
  .min(1)
  .max(limits.auditEventsPerRequestMax)
  .refine((events) => new Set(events.map(({ run_id }) => run_id)).size === 1, 'must all be of one run, or of none')

export const appendOptionsSchema = z.strictObject({
  actor: actorSchema.optional(),
  correlation_id: lineOf(120).optional(),
  /** The ledger's size that the caller decided upon; another one is SIZE_MISMATCH. */
  expected_size: z.int().min(0).optional(),
  guard: z.strictObject({ name: lineOf(limits.lockNameBytes), token: z.int().min(0) }).optional(),
  idempotency_key: requestKeySchema.optional(),
})
export type AuditAppendOptions = z.input<typeof appendOptionsSchema>

interface AppendAudit extends Command {
  type: 'audit.append'
  events: readonly z.output<typeof auditInputSchema>[]
  /** What the run of the events is decided under; events outside runs need none. */
  policies?: Policies | undefined
}
export type AuditCommand = AppendAudit
