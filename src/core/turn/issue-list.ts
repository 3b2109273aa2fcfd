import { canonicalText, type Json } from '../canonical.ts'
import type { Objects } from '../decider.ts'
import { limits } from '../limits.ts'
import { type IssueList, noIssues } from './events.ts'
import { type ErrorIssueCode, errorCodes, type Issue, isError, sortedIssues } from './issue.ts'

/** The issues of a turn for its entry, and the object that holds them all where the entry cannot. */
export interface Listed {
  issues: Issue[]
  list: IssueList
  objects: Objects
}

/**
 * Puts issues into their order and into the entry as far as they fit; an entry has its bound, a turn's issues hardly.
 */
export function listed(found: readonly Issue[], digestOf: (text: string) => string, max?: number): Listed {
  if (found.length === 0) return { issues: [], list: noIssues, objects: nothing }
  const issues = sortedIssues(found, max)
  const count = issues.length
  const text = canonicalText(issues as unknown as Json)
  // A code unit is at most three bytes.
  if (text.length * 3 <= limits.turnIssueBytes) {
    return { issues, list: { count, digest: null, listed: issues }, objects: nothing }
  }
  const digest = digestOf(text)
  const first: Issue[] = []
  let room = limits.turnIssueBytes
  for (const issue of issues) {
    room -= JSON.stringify(issue).length * 3
    if (room < 0) break
    first.push(issue)
  }
  return { issues, list: { count, digest, listed: first }, objects: new Map([[digest, text]]) }
}

const nothing: Objects = new Map()

/**
 * The code that a turn with these issues is refused with: of those that occur the first in the order of `errorCodes`.
 */
export function firstCode(issues: readonly Issue[]): ErrorIssueCode | undefined {
  const found = new Set<string>(issues.filter(isError).map(({ code }) => code))
  return errorCodes.find((code) => found.has(code))
}
