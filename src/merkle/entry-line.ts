/** Limits for entries from outside, so that a hostile one costs little. A ledger's own entries are far smaller. */
const entryCharsMax = 1_000_000
const entryDepthMax = 64

const keyPattern = /^[a-z_][a-z0-9_]*$/

/**
 * The RFC 8785 text of an entry, as hashed in its leaf; undefined if the value cannot be an entry. Keys match
 * `^[a-z_][a-z0-9_]*$` and numbers are safe integers, so sorted keys and `JSON.stringify` are enough.
 */
export function entryLine(entry: unknown): string | undefined {
  return isRecord(entry) ? write(entry, { chars: entryCharsMax }, 0) : undefined
}

/** Whether a text has no lone surrogate. Different texts then always differ in UTF-8. */
export function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text)
}

/** Whether a value is what JSON reads from `{…}`. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Writes the text directly instead of making a sorted copy. A copy would lose a member named `__proto__`, and a member
 * that is not hashed is not proven.
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
