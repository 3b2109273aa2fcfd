import { userInfo } from 'node:os'
import type { Actor } from '../kernel/ids.ts'

/**
 * The name of the user that this process runs as, or the number if the machine has no name for it, as in many
 * containers.
 */
export function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.()}`
  }
}

/** How the ledger knows this process: by the user that it runs as. */
export function userAuthn(): string {
  authn ??= `os:${plainName()}`
  return authn
}

/** The user's name, or the number if the name has spaces or letters of other scripts. */
function plainName(): string {
  const name = userName()
  return /^[!-~]{1,120}$/.test(name) ? name : `uid-${process.getuid?.()}`
}

// A look-up of the name may ask another machine, and a service needs it for every call.
let authn: string | undefined

/** The operating system's user, as the actor for commands typed by hand. */
export function userActor(): Actor {
  return { actor_id: userName(), actor_type: 'human' }
}
