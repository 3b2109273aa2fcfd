import { isDeepStrictEqual } from 'node:util'
import { isSamePerson } from '../domain/approval/judge.ts'
import type { ErasureEventData } from '../domain/erasure/events.ts'
import { isField, isSelected, type SelectedEntry, textsErasedBy } from '../domain/erasure/selection.ts'
import { type ErasureState, evolveErasure } from '../domain/erasure/state.ts'
import type { Entry } from '../kernel/entry.ts'
import { given } from '../kernel/given.ts'
import type { Check } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import type { StoredEntry } from '../log/free-texts.ts'

/** A free text that is marked as erased, and no entry said so yet. */
interface Unexplained {
  entry: SelectedEntry
  path: string
}

/**
 * Checks that each erasure that a person approved follows its approval: another person gave it before, for exactly this,
 * it had not expired, and it is used once. Checks that each free text that is marked as erased was erased by a later
 * entry, once, and that each text that an entry erases is marked. Errors: VERIFY_FAILED (`erasures`, `texts`). Cost:
 * memory for the approvals, and for the erased texts until the entry that erased them.
 */
export class ErasureVerification implements Check {
  readonly #approvals = new Map<string, ErasureState>()
  readonly #unexplained = new Map<string, Unexplained>()
  /** The texts that the last use of an approval still has to erase. */
  #due: { approval_id: string; texts: number } | undefined
  /** Where the last salvage ended. An erasure behind it left its marks, but not all of its entries. */
  #salvaged = 0

  entry(entry: Entry, { texts = [] }: StoredEntry): void {
    for (const held of texts) {
      if ('text' in held) continue
      const { path } = held
      const { actor, case_id, data, run_id, seq, type } = entry
      const of = { actor, data: type === 'audit.recorded' ? data : {}, seq, type, ...given({ case_id, run_id }) }
      this.#unexplained.set(`${seq} ${path}`, { entry: of, path })
    }
    if (entry.type === 'ledger.restored' && entry.data.by === 'salvage') {
      this.#salvaged = entry.seq
      this.#due = undefined
    }
    if (this.#due !== undefined && entry.type !== 'text.erased') throw this.#unfinished(entry.seq)
    switch (entry.type) {
      case 'erasure.approved': {
        const approval = evolveErasure(undefined, entry) as ErasureState
        this.#approvals.set(approval.approval_id, approval)
        return
      }
      case 'erasure.used':
        this.#due = entry.data as ErasureEventData<'erasure.used'>
        this.#use(entry, this.#due.approval_id)
        return
      case 'object.erased':
        this.#takeObjects(entry)
        return
      case 'text.erased':
        this.#takeTexts(entry)
    }
  }

  /** Called after the last entry. */
  end({ size }: { size: number }): void {
    if (this.#due !== undefined) throw this.#unfinished(size - 1)
    for (const { entry, path } of this.#unexplained.values()) {
      if (entry.seq < this.#salvaged) continue
      throw wrongText(entry.seq, path, 'has no text, and no entry says that it was erased')
    }
  }

  #takeObjects(entry: Entry): void {
    const { approval_id, digests, reason } = entry.data as ErasureEventData<'object.erased'>
    if (approval_id === null) return
    const { erasure } = this.#use(entry, approval_id)
    if (!isDeepStrictEqual(erasure, { digests, reason }))
      throw wrong(entry.seq, `${approval_id} approves something else`)
  }

  #takeTexts(entry: Entry): void {
    const { approval_id, reason } = entry.data as ErasureEventData<'text.erased'>
    const erasure = approval_id === null ? undefined : this.#continued(entry, approval_id).erasure
    const selection = erasure !== undefined && 'texts' in erasure ? erasure.texts : undefined
    if (erasure?.reason !== (selection === undefined ? undefined : reason))
      throw wrong(entry.seq, `${approval_id} approves something else`)
    for (const { paths, seq } of textsErasedBy(entry)) {
      for (const path of paths) {
        const key = `${seq} ${path}`
        const erased = this.#unexplained.get(key)
        if (!this.#unexplained.delete(key) || erased === undefined)
          throw wrongText(seq, path, `has a text that entry ${entry.seq} erases`)
        const isCovered = selection === undefined || (isSelected(selection, erased.entry) && isField(selection, path))
        if (!isCovered) throw wrong(entry.seq, `${approval_id} does not select ${path} of entry ${seq}`)
      }
      if (this.#due !== undefined) this.#due = { ...this.#due, texts: this.#due.texts - paths.length }
    }
    if ((this.#due?.texts ?? 0) < 0) throw this.#unfinished(entry.seq)
    if (this.#due?.texts === 0) this.#due = undefined
  }

  /** The approval whose use the entry continues. */
  #continued({ seq }: Entry, approval_id: string): ErasureState {
    const approval = this.#approvals.get(approval_id)
    if (approval === undefined || this.#due?.approval_id !== approval_id)
      throw wrong(seq, `${approval_id} was not used by the entries before it`)
    return approval
  }

  #use(entry: Entry, approval_id: string): ErasureState {
    const { actor, seq, time } = entry
    const approval = this.#approvals.get(approval_id)
    if (approval === undefined) throw wrong(seq, `no entry before it gives ${approval_id}`)
    if (approval.used !== null) throw wrong(seq, `${approval_id} was used by entry ${approval.used}`)
    if (approval.expires_at !== null && (time >= approval.expires_at || time < approval.time))
      throw wrong(seq, `${approval_id} had expired`)
    if (isSamePerson(approval.actor, actor)) throw wrong(seq, `${approval_id} was given by the same person`)
    const used = { ...approval, used: seq }
    this.#approvals.set(approval_id, used)
    return used
  }

  #unfinished(seq: number) {
    return wrong(seq, `${this.#due?.approval_id} was used to erase another number of texts`)
  }
}

function wrong(seq: number, what: string) {
  return differs('erasures', `the erasure of entry ${seq} has no valid approval: ${what}`, { seq })
}

function wrongText(seq: number, path: string, what: string) {
  return differs('texts', `entry ${seq} ${what}: ${path}`, { path, seq })
}
