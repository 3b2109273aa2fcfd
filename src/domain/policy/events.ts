import * as z from 'zod'
import { freeText } from '../../kernel/free-text.ts'
import { limits } from '../../kernel/limits.ts'

const hex = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/)
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)

/**
 * One loaded policy file. Its pin is the last commit that changed it, or the id of its content. Its text is here if
 * both texts are short, and otherwise in a file named by its SHA-256.
 */
const loadedFileSchema = z.strictObject({
  file: z.string().min(1).max(limits.pathBytes),
  pin: hex,
  sha256,
  source: z.enum(['git-commit', 'git-blob']),
  text: z.string().max(limits.policyInlineBytes).optional(),
})
export type LoadedFile = z.infer<typeof loadedFileSchema>

const loaded = z.strictObject({
  lanes: loadedFileSchema,
  previous: z.strictObject({ lanes: hex, roles: hex }).nullable(),
  roles: loadedFileSchema,
})

const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
  repeats: z.int().min(1).optional(),
})

/** Every event of the policy, by type. */
export const policyEventSchemas = { 'policy.loaded': loaded, 'policy.refused': refused } as const

type PolicyEventType = keyof typeof policyEventSchemas
export type PolicyEventData<Type extends PolicyEventType> = z.infer<(typeof policyEventSchemas)[Type]>
export type PolicyEvent = {
  [Type in PolicyEventType]: { type: Type; stream: string; data: PolicyEventData<Type> }
}[PolicyEventType]
