import type { Grant } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import { isOutcomeUnknown } from '../../files/deliverable/claims.ts'
import { codedError } from '../../writer/coded-errors.ts'
import { type Core, lockRefOf } from '../../writer/core.ts'
import { grantUnder } from '../../writer/lock-rows.ts'

/**
 * Rethrows an error of an acquire. If the lock was granted nevertheless, or may have been, the error carries the
 * lock_id and the token. With these the holder can release the lock or ask again. Other errors are rethrown
 * unchanged.
 */
export function namingGrants(core: Core, wanted: readonly Wanted[]): (error: unknown) => Promise<never> {
  return async (error) => {
    throw await withGrants(core, error, wanted)
  }
}

/** A requested lock, and the id that repeats the request. */
interface Wanted {
  lock_id: string
  name: string
}

async function withGrants(core: Core, error: unknown, wanted: readonly Wanted[]): Promise<unknown> {
  const granted: { lock_id: string; name: string; token: number }[] = []
  for (const { lock_id, name } of wanted) {
    const lock_ref = lockRefOf(lock_id)
    const grant = await currentGrantOf(core, { lock_ref, name })
    if (grant?.lock_ref === lock_ref) granted.push({ lock_id, name, token: grant.token })
  }
  const [first] = granted
  if (first === undefined && !isOutcomeUnknown(error)) return error
  const { cause, code, details, hint, message } = codedError(error, 'acquiring')
  const [asked] = wanted
  const named = first ?? { lock_id: asked?.lock_id, name: asked?.name }
  const all = wanted.length > 1 ? { lock_ids: wanted.map(({ lock_id }) => lock_id) } : {}
  const told =
    first === undefined
      ? hint
      : (hint ?? `The lock is granted: release it with "lockstep lock release ${first.lock_id}".`)
  return new LockstepError(code, message, {
    details: { ...details, ...named, ...all },
    hint: told,
    cause: cause ?? error,
  })
}

/** Also undefined if the ledger cannot be read; the error being rethrown already says so. */
async function currentGrantOf(core: Core, of: { lock_ref: string; name: string }): Promise<Grant | undefined> {
  try {
    return (await grantUnder(core, of)) ?? undefined
  } catch {
    return undefined
  }
}
