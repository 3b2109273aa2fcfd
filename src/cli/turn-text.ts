import type { PromotedTurn, StagedTurn, TurnState, TurnVerdict } from '../api/shapes/turns.ts'
import type { Issue } from '../domain/turn/issue.ts'
import { LockstepError } from '../errors.ts'
import type { Globals } from './globals.ts'
import { say, table, timeText } from './output.ts'

const issuesShownMax = 50

/** Issues as a table for people. Issues beyond `issuesShownMax` are only counted. */
export async function issueLines(issues: readonly Issue[]): Promise<string[]> {
  if (issues.length === 0) return []
  const rows = issues.slice(0, issuesShownMax).map(({ code, details, location, message }) => {
    const stem = typeof details.stem === 'string' && !location.startsWith(details.stem) ? details.stem : ''
    return [code, `${stem}${location}`, message]
  })
  const more = issues.length - rows.length
  const rest = more > 0 ? [`and ${more} more: --json shows all`] : []
  return ['', ...(await table(['CODE', 'WHERE', 'WHAT'], rows)), ...rest]
}

/** Does the work. If it is refused, people see all issues instead of only the first. */
export async function withIssuesShown<T>({ json }: Globals, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    // The issues of INVALID_INPUT are about members of the input, and its message names them.
    const isOfTurn = error instanceof LockstepError && error.code !== 'INVALID_INPUT'
    const issues = isOfTurn && Array.isArray(error.details.issues) ? error.details.issues : []
    if (!json) for (const line of await issueLines(issues as Issue[])) say(line)
    throw error
  }
}

export function stagedLines({ bytes, counts, manifest_digest, run_id, seq, turn_id }: StagedTurn): string[] {
  const { delete_stem, tombstones, triplets } = counts
  const what = [
    counted(triplets, 'stem'),
    counted(tombstones, 'tombstone'),
    ...(delete_stem === 0 ? [] : [counted(delete_stem, 'delete')]),
  ].join(', ')
  return [`${turn_id} of ${run_id} is staged: ${what}, ${bytes} bytes (entry ${seq})`, `manifest ${manifest_digest}`]
}

export function verdictLines({ outcome, run_id, seq, turn_id }: TurnVerdict): string[] {
  return [`${turn_id} of ${run_id}: ${outcome} (entry ${seq})`]
}

export function promotedLines({
  deleted_stems,
  delta_digest,
  promoted_stems,
  run_id,
  seq,
  turn_id,
}: PromotedTurn): string[] {
  const what = `${counted(promoted_stems.length, 'stem')} written, ${deleted_stems.length} deleted`
  return [`${turn_id} of ${run_id} is promoted: ${what} (entry ${seq})`, `delta ${delta_digest}`]
}

export function turnLines({ manifest_digest, promotion, run_id, seq, status, time, turn_id }: TurnState): string[] {
  return [
    `${turn_id} of ${run_id} is ${status}, since ${timeText(time)} (entry ${seq})`,
    ...(manifest_digest === null ? [] : [`manifest ${manifest_digest}`]),
    ...(promotion?.promoted_stems ?? []).map((stem) => `  + ${stem}`),
    ...(promotion?.deleted_stems ?? []).map((stem) => `  - ${stem}`),
    ...(promotion === undefined ? [] : [`delta ${promotion.delta_digest}`]),
  ]
}

export function counted(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`
}
