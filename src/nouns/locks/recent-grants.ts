import { limits } from '../../kernel/limits.ts'

/**
 * Remembers the name of each lock that this process granted lately, by actor and lock_ref. So a release need not read
 * the grant's entry; the name of a grant never changes. It keeps two generations, as `Recent` does.
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

/** A lock_ref always has 16 hex digits, so the key is unambiguous without a separator. */
function keyOf(actorId: string, lockRef: string): string {
  return lockRef + actorId
}
