import { canonicalText, type Json } from '../../kernel/canonical.ts'
import type { Objects } from '../../kernel/decider.ts'
import { limits } from '../../kernel/limits.ts'
import { noIssues } from '../run/turns.ts'
import type { IssueList } from './events.ts'
import { type ErrorIssueCode, errorCodes, type Issue, isError, sortedIssues } from './issue.ts'

/** The issues of a turn for its entry, and the object that holds all of them if they do not fit into the entry. */
export interface Listed {
  issues: Issue[]
  list: IssueList
  objects: Objects
}

/**
 * Sorts the issues and puts as many of them into the entry as fit. Entries are limited in size; lists of issues are
 * not.
 */
export function listed(found: readonly Issue[], digestOf: (text: string) => string, max?: number): Listed {
  if (found.length === 0) return { issues: [], list: noIssues, objects: nothing }
  const issues = sortedIssues(found, max)
  const count = issues.length
  const text = canonicalText(issues as unknown as Json)
  // A code unit takes at most three bytes.
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

/** The code for refusing a turn with these issues: the first of their codes in the order of `errorCodes`. */
export function firstCode(issues: readonly Issue[]): ErrorIssueCode | undefined {
  const found = new Set<string>(issues.filter(isError).map(({ code }) => code))
  return errorCodes.find((code) => found.has(code))
}
