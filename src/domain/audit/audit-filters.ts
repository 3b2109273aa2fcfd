import * as z from 'zod'
import { lineOf } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { actionTypes, caseIdSchema, line, runIdSchema, utcSchema } from '../../kernel/vocabulary.ts'
import { lockNameSchema } from '../lock/names.ts'

/**
 * The filters of a list; an entry must match all of them. Times are the wall-clock times of entries: `since` is
 * inclusive and `until` is exclusive.
 */
export const listAuditSchema = z.strictObject({
  action_type: z.enum(actionTypes).optional(),
  actor_id: line.optional(),
  case_id: caseIdSchema.optional(),
  /** The first seq to look at: 0, or `next` of the previous page. */
  cursor: z.int().min(0).default(0),
  limit: z.int().min(1).max(limits.historyPageMax).default(100),
  lock: lockNameSchema.optional(),
  outcome: z.enum(['allow', 'deny', 'failure', 'success']).optional(),
  run_id: runIdSchema.optional(),
  since: utcSchema.optional(),
  stream: lineOf(300).optional(),
  type: line.optional(),
  until: utcSchema.optional(),
})
