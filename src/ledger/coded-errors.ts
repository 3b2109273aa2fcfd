import { LockstepError, messageOf } from '../errors.ts'
import { fileError, isOfSystem } from '../fs/durable.ts'

/** Whatever was thrown, as the one error that leaves Lockstep: a file step that failed, or a defect. */
export function codedError(error: unknown, doing: string): LockstepError {
  if (error instanceof LockstepError) return error
  if (isOfSystem(error)) return fileError(error, doing)
  return new LockstepError('INVARIANT_VIOLATED', `${doing}: ${messageOf(error)}`, { cause: error })
}

/**
 * Makes every method of some classes reject or throw with a LockstepError and nothing else: the last net of the API,
 * below which each file step still says what it was doing. `runs.perform` is left out, because what the caller's own work
 * throws is passed on as it is; the calls that it is made of are covered. Called once, where the classes are put together.
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
