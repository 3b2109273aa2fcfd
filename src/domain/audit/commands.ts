import * as z from 'zod'
import type { Command } from '../../kernel/decider.ts'
import { actorSchema, lineOf, requestKeySchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { line, noteSchema, privilegedActions, runIdSchema, shortLine } from '../../kernel/vocabulary.ts'
import { lockNameSchema } from '../lock/names.ts'
import type { Policies } from '../policy/state.ts'
import { auditRecordedSchema } from './events.ts'

const error = z.strictObject({ error_code: shortLine, message: noteSchema.max(2_000), retryable: z.boolean() })

/**
 * An event from a caller. With a `run_id` it belongs to that run. Action types that need a decision first require a
 * `run_id` and the `decision_id` of the allow.
 */
const auditInputSchema = auditRecordedSchema
  .omit({ stated: true })
  .extend({
    action_type: z.enum(['system', 'override', ...privilegedActions]),
    decision_id: line.optional(),
    error: error.optional(),
    run_id: runIdSchema.optional(),
  })
  .superRefine((event, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    const { action_type, outcome } = event
    if (action_type === 'system' || action_type === 'override') {
      if (action_type === 'override' && event.outcome_reason === undefined)
        issue('outcome_reason', 'is required for override')
      for (const path of ['decision_id', 'error'] as const) {
        if (event[path] !== undefined) issue(path, 'is only for actions with a decision')
      }
      return
    }
    for (const path of ['run_id', 'decision_id'] as const) {
      if (event[path] === undefined) issue(path, `is required for ${action_type}`)
    }
    for (const path of ['corrects', 'duration_ms', 'input_artifacts', 'notes', 'severity'] as const) {
      if (event[path] !== undefined) issue(path, 'is only for system and override events')
    }
    if (outcome !== 'failure' && outcome !== 'success') issue('outcome', 'of an action must be success or failure')
  })

/** One or more events, appended all or none. Either all belong to one run, or none belongs to a run. */
export const appendSchema = z
  .array(auditInputSchema)
  .min(1)
  .max(limits.auditEventsPerRequestMax)
  .refine(
    (events) => new Set(events.map(({ run_id }) => run_id)).size === 1,
    'must all belong to one run, or none to a run',
  )

export const appendOptionsSchema = z.strictObject({
  actor: actorSchema.optional(),
  correlation_id: lineOf(120).optional(),
  /** The ledger size that the caller's decision was based on. Any other size is SIZE_MISMATCH. */
  expected_size: z.int().min(0).optional(),
  guard: z.strictObject({ name: lockNameSchema, token: z.int().min(0) }).optional(),
  idempotency_key: requestKeySchema.optional(),
})

export interface AppendAudit extends Command {
  type: 'audit.append'
  events: readonly z.output<typeof auditInputSchema>[]
  /** The facts for the decision on the run of the events. Events outside runs need none. */
  policies?: Policies | undefined
}
export type AuditCommand = AppendAudit
