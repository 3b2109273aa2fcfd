import * as z from 'zod'
import { artifactRefsSchema } from '../../kernel/artifact-ref.ts'
import { isWellFormed } from '../../kernel/canonical.ts'
import { lineOf, recordWith } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { line, privilegedActions, shortLine } from '../../kernel/vocabulary.ts'
import { askedExportSchema } from '../approval/exported.ts'
import { commandSchema } from './command.ts'

/** Such a key can be neither an array index nor `__proto__`. */
const scopeKey = z.string().regex(/^[a-z][a-z0-9_]{0,79}$/)
const text = z.string().max(limits.reasonChars).refine(isWellFormed, 'must be well-formed Unicode')
const scopeValue = z.union([text, z.boolean(), z.int()])

/**
 * An action that a run requests: the same facts before the decision and in later events (Run Lifecycle, Contract v1,
 * section 5.1).
 */
export const actionSchema = z.strictObject({
  action_type: z.enum(privilegedActions),
  /** The artifacts that the action reads or passes on, if they are known in advance. */
  artifacts: artifactRefsSchema.optional(),
  /** What an export hands out, and the approvals that it names. */
  bundle: askedExportSchema.optional(),
  /** What a tool call runs, as far as the caller knows it. */
  command: commandSchema.optional(),
  /** The side effects that the caller declares, in the words that lanes use to prohibit them. */
  effects: z.array(scopeKey).max(50).optional(),
  lane_id: line,
  scope: recordWith(scopeKey, scopeValue).refine(
    (scope) => Object.keys(scope).length <= 50,
    'must have at most 50 members',
  ),
  /** A tool by its name, or a table and the operation on it. */
  target: z.strictObject({ mode: shortLine.optional(), name: lineOf(600) }),
})
export type Action = z.infer<typeof actionSchema>
