import { fileError, isOfSystem } from '../disk/durable.ts'
import { LockstepError, messageOf } from '../errors.ts'

/** Converts any thrown value to a LockstepError: a file error for a failed file step, INVARIANT_VIOLATED for a defect. */
export function codedError(error: unknown, doing: string): LockstepError {
  if (error instanceof LockstepError) return error
  if (isOfSystem(error)) return fileError(error, doing)
  return new LockstepError('INVARIANT_VIOLATED', `${doing}: ${messageOf(error)}`, { cause: error })
}

/**
 * Makes every method of the given classes reject or throw only with a LockstepError. This is the last safeguard of
 * the API; each file step below it still names its own action. `runs.perform` is left out, because it passes on the
 * errors of the caller's own function; the calls inside it are covered. Called once, at start-up.
 */
export function codeErrorsOf(...classes: { name: string; prototype: object }[]): void {
  for (const { name, prototype } of classes) {
    for (const key of Reflect.ownKeys(prototype)) {
      const method = Object.getOwnPropertyDescriptor(prototype, key)
      if (key === 'constructor' || key === 'perform' || typeof method?.value !== 'function') continue
      const doing = `${name.toLowerCase()}.${String(key)}`
      Object.defineProperty(prototype, key, { ...method, value: coded(method.value as Method, doing) })
    }
  }
}

type Method = (this: unknown, ...words: unknown[]) => unknown

function coded(method: Method, doing: string): Method {
  const rethrow = (error: unknown) => {
    throw codedError(error, doing)
  }
  const wrapped = function (this: unknown, ...words: unknown[]) {
    try {
      const answer = method.apply(this, words)
      return answer instanceof Promise ? answer.catch(rethrow) : answer
    } catch (error) {
      return rethrow(error)
    }
  }
  const { length, name } = method
  return Object.defineProperties(wrapped, { length: { value: length }, name: { value: name } })
}
