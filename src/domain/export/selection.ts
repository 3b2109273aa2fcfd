import type { Entry } from '../../kernel/entry.ts'
import type { Selection } from '../approval/exported.ts'
import { caseOf } from '../audit/events.ts'
import { streamOf } from '../lock/names.ts'
import { statusAfter } from '../run/state.ts'

/** A summary of the selected entries. */
export interface SelectedFacts {
  /** The case of the entries, if all have the same case. */
  case_id: string | null
  entries: number
  first_seq: number
  last_seq: number
  /** The number of runs that do not end within the selection. */
  open_runs: number
  run_ids: readonly string[]
}

/**
 * Follows the selected entries, in order. It is used to select entries and to check selected entries. Each must name
 * the entry before it in its history, so an omitted entry shows as a dangling `prev`.
 */
export class Selected {
  readonly #selection: Selection
  readonly #lastOfRun = new Map<string, number>()
  readonly #open = new Set<string>()
  readonly #cases = new Set<string | null>()
  #entries = 0
  #first = 0
  #last: number | null = null

  constructor(selection: Selection) {
    this.#selection = selection
  }

  /** Whether an entry is selected. For a tree of runs, all earlier entries must have been taken before. */
  has(entry: Entry): boolean {
    const { parent_run_id, run_id, seq, stream, type } = entry
    const selection = this.#selection
    if ('lock' in selection) return stream === streamOf(selection.lock)
    if ('case_id' in selection) return caseOf(entry) === selection.case_id
    if ('from' in selection) return seq >= selection.from && seq <= selection.to
    if (run_id === undefined) return false
    const isBelow = type === 'run.created' && parent_run_id !== undefined && this.#lastOfRun.has(parent_run_id)
    return run_id === selection.run_id || this.#lastOfRun.has(run_id) || isBelow
  }

  /** Takes the next entry. Returns the problem if it does not follow the entries before it. */
  take(entry: Entry): string | undefined {
    const { prev, run_id, seq } = entry
    if (!this.has(entry)) return 'is not selected'
    if (this.#last !== null && seq <= this.#last) return `comes after entry ${this.#last}`
    const wrong = this.#wrongBefore(entry)
    if (wrong !== undefined) return wrong
    if (this.#last === null) this.#first = seq
    this.#entries += 1
    this.#last = seq
    this.#cases.add(caseOf(entry) ?? null)
    if (run_id === undefined) return undefined
    if (prev.run === null) this.#open.add(run_id)
    if (statusAfter[entry.type] !== undefined) this.#open.delete(run_id)
    this.#lastOfRun.set(run_id, seq)
    return undefined
  }

  /** The summary; undefined if no entry is selected. */
  facts(): SelectedFacts | undefined {
    if (this.#last === null) return undefined
    const [case_id = null] = this.#cases.size === 1 ? this.#cases : []
    const run_ids = [...this.#lastOfRun.keys()]
    return {
      case_id,
      entries: this.#entries,
      first_seq: this.#first,
      last_seq: this.#last,
      open_runs: this.#open.size,
      run_ids,
    }
  }

  #wrongBefore({ prev, run_id, seq }: Entry): string | undefined {
    const selection = this.#selection
    const last = this.#last
    if ('from' in selection) {
      const due = last === null ? selection.from : last + 1
      return seq === due ? undefined : `is in the place of entry ${due}`
    }
    const [named, due] =
      'lock' in selection ? [prev.stream, last] : [prev.run ?? null, this.#lastOfRun.get(run_id ?? '') ?? null]
    return named === due ? undefined : `names ${named} as the entry before it, but that is ${due}`
  }
}
