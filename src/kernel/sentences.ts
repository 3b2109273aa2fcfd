import type * as z from 'zod'

type Issue = z.core.$ZodRawIssue

/**
 * What is wrong with a value, as the end of a sentence that begins with the name of the member: "must be at least 1".
 * Given to `safeParse` as its error map, so it never replaces a message that a schema has itself.
 */
export function sentenceOf(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : `must be ${withArticle(issue.expected)}`
    case 'invalid_value':
      return choiceSentence(issue.values.map(String), issue.input)
    case 'too_small':
      return isText(issue) && issue.minimum === 1 ? 'must not be empty' : bound('at least', issue, issue.minimum)
    case 'too_big':
      return bound('at most', issue, issue.maximum)
    case 'invalid_format':
      return formatSentence(issue)
    case 'unrecognized_keys':
      return `has ${issue.keys.length === 1 ? 'an unknown member' : 'unknown members'}: ${issue.keys.join(', ')}`
    case 'invalid_union':
      return 'has none of the forms that are allowed here'
    case 'invalid_key':
      return 'has a key that is not allowed'
    default:
      return 'is not valid'
  }
}

/** Says which values are allowed, and which of them the given value was probably meant to be. */
export function choiceSentence(choices: readonly string[], given: unknown): string {
  const [only] = choices
  const allowed = choices.length === 1 ? `must be ${only}` : `must be one of ${choices.join(', ')}`
  if (given === undefined) return `is required and ${allowed}`
  if (typeof given !== 'string') return allowed
  const near = nearest(choices, given)
  return `${allowed}; not ${JSON.stringify(given.slice(0, 80))}${near === undefined ? '' : `. Did you mean "${near}"?`}`
}

/** The word that differs least from the given text; undefined if none is similar. */
export function nearest(words: readonly string[], text: string): string | undefined {
  if (text.length > 80) return undefined
  const typed = text.toLowerCase()
  const ranked = words
    .map((word) => ({ distance: editDistance(word.toLowerCase(), typed), word }))
    .filter(({ distance, word }) => distance <= Math.max(1, Math.floor(word.length / 3)))
    .sort((left, right) => left.distance - right.distance)
  return ranked[0]?.word ?? words.find((word) => typed.length > 2 && word.toLowerCase().startsWith(typed))
}

/** How many letters must be inserted, removed or replaced to turn one word into another. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let at = 1; at <= left.length; at += 1) {
    const next = [at]
    for (let to = 1; to <= right.length; to += 1) {
      const replaced = (row[to - 1] ?? 0) + (left[at - 1] === right[to - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[to] ?? 0) + 1, (next[to - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? 0
}

const isText = ({ origin }: { origin: string }) => origin === 'string'

function bound(words: string, { origin }: { origin: string }, limit: number | bigint): string {
  if (origin === 'string') return `must have ${words} ${limit} characters`
  if (origin === 'array' || origin === 'set') return `must have ${words} ${limit} items`
  return `must be ${words} ${limit}`
}

function formatSentence({ format, pattern }: { format: string; pattern?: string | undefined }): string {
  if (format === 'datetime') return 'must be a time such as 2026-02-02T12:00:00Z'
  if (pattern?.includes('[0-9a-fA-F]{64}') || pattern?.includes('[0-9a-f]{64}')) return 'must be 64 hex digits'
  return pattern === undefined ? 'does not have the required form' : `must match ${pattern}`
}

function withArticle(type: string): string {
  const word = type === 'int' ? 'integer' : type === 'record' ? 'object' : type
  if (word === 'null' || word === 'undefined' || word === 'nonoptional') return `${word}`
  return `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`
}
