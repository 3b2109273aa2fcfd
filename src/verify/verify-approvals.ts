import type { ApprovalEventData } from '../domain/approval/events.ts'
import type { RunEventData } from '../domain/run/events.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Check, Found } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'

/**
 * Checks that every approval is used at most once, after it was given, and that the allow of the same run which names
 * it follows at once (ADR 0054). Errors: VERIFY_FAILED (`approvals`). Cost: memory for the unused approvals.
 */
export class ApprovalVerification implements Check {
  readonly #unused = new Map<string, number>()
  /** The approvals whose allow is due, and the run that it must belong to. */
  #due: { ids: string[]; run_id: string | undefined } | undefined

  entry(entry: Entry): void {
    const { data, prev, run_id, seq, type } = entry
    const due = this.#due
    if (type === 'approval.used') {
      const { approval_id } = data as ApprovalEventData<'approval.used'>
      const givenAt = this.#unused.get(approval_id)
      if (givenAt === undefined || prev.stream !== givenAt) throw wrong(seq, `uses ${approval_id}, which is not unused`)
      if (due !== undefined && due.run_id !== run_id) throw wrong(seq, `uses ${approval_id} for another run`)
      this.#unused.delete(approval_id)
      this.#due = { ids: [...(due?.ids ?? []), approval_id], run_id }
      return
    }
    if (type === 'approval.given') {
      this.#unused.set((data as ApprovalEventData<'approval.given'>).approval_id, seq)
    }
    if (type === 'run.decided' || due !== undefined) this.#takeDecision(entry, due?.ids ?? [])
    this.#due = undefined
  }

  /** Called after the last entry. */
  end({ size }: Pick<Found, 'size'>): void {
    if (this.#due !== undefined) throw wrong(size - 1, 'uses an approval, but no decision follows')
  }

  /** An allow uses exactly the approvals that it names, and nothing else uses any. */
  #takeDecision({ data, run_id, seq, type }: Entry, used: readonly string[]): void {
    const { bundle, decision } = data as RunEventData<'run.decided'>
    const isAllow = type === 'run.decided' && decision === 'allow'
    const named = isAllow ? (bundle?.approvals ?? []) : []
    const isOfRun = this.#due === undefined || this.#due.run_id === run_id
    if (isOfRun && named.length === used.length && named.every((id, index) => id === used[index])) return
    throw wrong(seq, `allows what needs ${named.length} approvals, after the use of ${used.length}`)
  }
}

function wrong(seq: number, what: string) {
  return differs('approvals', `entry ${seq} ${what}`, { seq })
}
