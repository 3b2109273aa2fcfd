import type { z } from 'zod'
import { LockstepError } from '../errors.ts'
import { sentenceOf } from '../kernel/sentences.ts'

/** Parses a caller's input. Errors: INVALID_INPUT, naming the first invalid member. */
export function parse<Schema extends z.ZodType>(schema: Schema, input: unknown, what: string): z.output<Schema> {
  const parsed = schema.safeParse(input, { error: sentenceOf })
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.slice(0, 20).map(({ path, message }) => ({ path: path.join('.'), message }))
  const [first] = issues
  const message = `${what}: ${first?.path ? `${first.path}: ` : ''}${first?.message ?? 'is not valid'}`
  throw new LockstepError('INVALID_INPUT', message, { details: { issues } })
}
