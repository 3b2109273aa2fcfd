import { limits } from '../core/limits.ts'

/**
 * The lock that each actor's lock_ref was lately granted on by this process, so that its release need not read the
 * grant's entry: a grant never changes its name. Two generations, as `Rows` has them.
 */
export class RecentGrants {
  #young = new Map<string, string>()
  #old = new Map<string, string>()

  nameOf(actorId: string, lockRef: string): string | undefined {
    const key = keyOf(actorId, lockRef)
    return this.#young.get(key) ?? this.#old.get(key)
  }

  add(actorId: string, lockRef: string, name: string): void {
    if (this.#young.size >= limits.recentGrantsMax / 2) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(keyOf(actorId, lockRef), name)
  }
}

/** A lock_ref is 16 hex digits, so it ends where the actor begins. */
function keyOf(actorId: string, lockRef: string): string {
  return lockRef + actorId
}
