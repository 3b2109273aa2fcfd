/** Bounds of an entry from outside. A ledger's own are far smaller; these keep a hostile one from costing much. */
const entryCharsMax = 1_000_000
const entryDepthMax = 64

const keyPattern = /^[a-z_][a-z0-9_]*$/

/**
 * The RFC 8785 text of an entry as a leaf hashes it, or undefined for what no entry can be. Keys match
 * `^[a-z_][a-z0-9_]*$` and numbers are safe integers, so sorting keys and `JSON.stringify` is the whole of it.
 */
export function entryLine(entry: unknown): string | undefined {
  return isRecord(entry) ? write(entry, { chars: entryCharsMax }, 0) : undefined
}

/** Whether a text has no lone surrogate, so that two different texts are never the same in UTF-8. */
export function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text)
}

/** Whether a value is what `{…}` in JSON is read as. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The text is put together here and not in a sorted copy, for a copy would lose a member named `__proto__`, and
 * what is not hashed is not proven.
 */
function write(value: unknown, budget: { chars: number }, depth: number): string | undefined {
  budget.chars -= 1
  if (budget.chars < 0 || depth > entryDepthMax) return undefined
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) && !Object.is(value, -0) ? String(value) : undefined
  }
  if (typeof value === 'string') {
    budget.chars -= value.length
    return budget.chars >= 0 && isWellFormed(value) ? JSON.stringify(value) : undefined
  }
  const members: string[] = []
  if (Array.isArray(value)) {
    for (const item of value) {
      const text = write(item, budget, depth + 1)
      if (text === undefined) return undefined
      members.push(text)
    }
    return `[${members.join(',')}]`
  }
  if (!isRecord(value)) return undefined
  for (const key of Object.keys(value).sort()) {
    if (value[key] === undefined) continue
    const text = keyPattern.test(key) ? write(value[key], budget, depth + 1) : undefined
    if (text === undefined) return undefined
    budget.chars -= key.length
    members.push(`"${key}":${text}`)
  }
  return `{${members.join(',')}}`
}
