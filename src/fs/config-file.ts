import { type Config, configSchema } from '../core/config.ts'
import { LockstepError } from '../errors.ts'
import { readIfThere } from './durable.ts'

/** The configuration of a ledger; everything has a default. Errors: INVALID_INPUT, naming file and member. */
export function readConfig(path: string): Config {
  const text = readIfThere(path) ?? '{}'
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ''))
  } catch (cause) {
    throw new LockstepError('INVALID_INPUT', `${path} is not JSON`, { details: { file: path }, cause })
  }
  const parsed = configSchema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new LockstepError('INVALID_INPUT', `${path}: ${issue?.path.join('.') || 'the file'}: ${issue?.message}`, {
    details: { file: path },
  })
}
