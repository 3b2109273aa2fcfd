import { canonicalText, type Json } from '../../kernel/canonical.ts'
import type { Lane, Policy, Role } from './policy.ts'

/** A lane or a role that a reload would add, change or remove. */
export interface PolicyChange {
  change: 'added' | 'changed' | 'removed'
  id: string
  kind: 'lane' | 'role'
}

/** How one policy differs from another, or from none: lanes first, each by its id. */
export function policyChanges(before: Policy | undefined, after: Policy): PolicyChange[] {
  return [
    ...changesOf('lane', before?.lanes ?? new Map(), after.lanes),
    ...changesOf('role', before?.roles ?? new Map(), after.roles),
  ]
}

function changesOf<Item extends Lane | Role>(
  kind: PolicyChange['kind'],
  before: ReadonlyMap<string, Item>,
  after: ReadonlyMap<string, Item>,
): PolicyChange[] {
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((id): PolicyChange[] => {
    const [old, now] = [before.get(id), after.get(id)]
    if (old === undefined) return [{ change: 'added', id, kind }]
    if (now === undefined) return [{ change: 'removed', id, kind }]
    return textOf(old) === textOf(now) ? [] : [{ change: 'changed', id, kind }]
  })
}

const textOf = (item: Lane | Role) => canonicalText(item as unknown as Json)
