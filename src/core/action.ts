import * as z from 'zod'
import { artifactRefsSchema } from './artifact-ref.ts'
import { lineOf, recordWith } from './ids.ts'
import { limits } from './limits.ts'
import { line, privilegedActions, shortLine } from './vocabulary.ts'

/** Such a key never looks like an index of an array, nor like a prototype. */
const scopeKey = z.string().regex(/^[a-z][a-z0-9_]{0,79}$/)
const scopeValue = z.union([z.string().max(limits.reasonChars), z.boolean(), z.int()])

/** What a run wants to do, as it stands before the decision and in the events after it (seed 3, section 5.1). */
export const actionSchema = z.strictObject({
  action_type: z.enum(privilegedActions),
  /** What the action reads or hands on, as far as it is known before. */
  artifacts: artifactRefsSchema.optional(),
  /** What the caller knows that the action brings with it, in the words that lanes prohibit. */
  effects: z.array(scopeKey).max(50).optional(),
  lane_id: line,
  scope: recordWith(scopeKey, scopeValue).refine(
    (scope) => Object.keys(scope).length <= 50,
    'must have at most 50 members',
  ),
  /** A tool by its name, or a table and what is done to it. */
  target: z.strictObject({ mode: shortLine.optional(), name: lineOf(600) }),
})
export type Action = z.infer<typeof actionSchema>
