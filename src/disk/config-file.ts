import { LockstepError } from '../errors.ts'
import { type Config, configSchema } from '../kernel/config.ts'
import { jsonProblemText, readJson } from '../kernel/json.ts'
import { limits } from '../kernel/limits.ts'
import { readTextFile } from './regular-file.ts'

/** The configuration of a ledger. Every setting has a default. Errors: INVALID_INPUT, with the file and the member. */
export function readConfig(path: string): Config {
  const text = readTextFile(path, limits.homeFileBytes, (is) => unusable(path, is)) ?? '{}'
  const read = readJson(text)
  if ('problem' in read) {
    const is = jsonProblemText(path, read.problem)
    throw new LockstepError('INVALID_INPUT', is, { details: { file: path } })
  }
  const parsed = configSchema.safeParse(read.value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new LockstepError('INVALID_INPUT', `${path}: ${issue?.path.join('.') || 'the file'}: ${issue?.message}`, {
    details: { file: path },
  })
}

function unusable(path: string, is: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `${path} ${is}`, {
    details: { file: path },
    hint: 'Put a regular file there, or remove it to use the default for every setting.',
  })
}
