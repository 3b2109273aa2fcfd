import type { Row } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Actor } from '../../kernel/ids.ts'
import type { ApprovalType } from '../../kernel/vocabulary.ts'
import type { ApprovalEventData } from './events.ts'

/** The first word of the streams of approvals. The stream of this name alone has the refusals. */
export const approvalStream = 'approval'

/** The stream of one approval. */
export const streamOfApproval = (approvalId: string) => `${approvalStream}/${approvalId}`

/** An approval: what was approved, by whom, and the export that used it. */
export interface ApprovalState extends ApprovalEventData<'approval.given'> {
  actor: Actor
  /** The seq of `approval.given`. */
  seq: number
  time: string
  used: { run_id: string; seq: number } | null
}

/** Returns the next state; null for the stream of refusals. It applies the event without checking it. */
export function evolve(state: ApprovalState | null | undefined, entry: Entry): ApprovalState | null {
  if (entry.type === 'approval.given') {
    const { actor, seq, time } = entry
    return { ...(entry.data as ApprovalEventData<'approval.given'>), actor, seq, time, used: null }
  }
  if (entry.type !== 'approval.used' || state === undefined || state === null) return state ?? null
  const { run_id } = entry.data as ApprovalEventData<'approval.used'>
  return { ...state, used: { run_id, seq: entry.seq } }
}

/** The state of an approval's row; undefined if there is no such approval. */
export function approvalIn(row: Row | undefined): ApprovalState | undefined {
  return (row?.state ?? undefined) as ApprovalState | undefined
}

/** The role that an approver of this type must have: the type in upper case, such as ATTORNEY_ADMIN. */
export function roleOf(type: ApprovalType): string {
  return type.toUpperCase()
}
