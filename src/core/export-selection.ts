import * as z from 'zod'
import type { Entry } from './entry.ts'
import { lockNameSchema, streamOf } from './lock/names.ts'
import { statusAfter } from './run/state.ts'
import { caseIdSchema, runIdSchema } from './vocabulary.ts'

const seq = z.int().min(0)

/** What a bundle holds: a run with all runs below it, a case, a lock, or the entries of a range, both ends included. */
export const selectionSchema = z.union([
  z.strictObject({ run_id: runIdSchema }),
  z.strictObject({ case_id: caseIdSchema }),
  z.strictObject({ lock: lockNameSchema }),
  z.strictObject({ from: seq, to: seq }).refine(({ from, to }) => from <= to, 'the range ends before it begins'),
])
export type Selection = z.output<typeof selectionSchema>

/** What the selected entries come to. */
export interface SelectedFacts {
  /** The case of all of them, if they are of one. */
  case_id: string | null
  entries: number
  first_seq: number
  last_seq: number
  /** Runs among them that have no end there. */
  open_runs: number
  run_ids: readonly string[]
}

/**
 * Follows the entries that are selected, in order. Used to choose them and to check those that were chosen: each must
 * name the one before it in its history, so that one that was left out shows as a `prev` that dangles.
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

  /** Whether an entry is selected. Of a tree, the entries before it must have been taken. */
  has({ case_id, parent_run_id, run_id, seq, stream, type }: Entry): boolean {
    const selection = this.#selection
    if ('lock' in selection) return stream === streamOf(selection.lock)
    if ('case_id' in selection) return case_id === selection.case_id
    if ('from' in selection) return seq >= selection.from && seq <= selection.to
    if (run_id === undefined) return false
    const isBelow = type === 'run.created' && parent_run_id !== undefined && this.#lastOfRun.has(parent_run_id)
    return run_id === selection.run_id || this.#lastOfRun.has(run_id) || isBelow
  }

  /** Takes the next one. Says what is wrong where it does not follow those before it. */
  take(entry: Entry): string | undefined {
    const { case_id = null, prev, run_id, seq } = entry
    if (!this.has(entry)) return 'is not selected'
    if (this.#last !== null && seq <= this.#last) return `stands behind entry ${this.#last}`
    const wrong = this.#wrongBefore(entry)
    if (wrong !== undefined) return wrong
    if (this.#last === null) this.#first = seq
    this.#entries += 1
    this.#last = seq
    this.#cases.add(case_id)
    if (run_id === undefined) return undefined
    if (prev.run === null) this.#open.add(run_id)
    if (statusAfter[entry.type] !== undefined) this.#open.delete(run_id)
    this.#lastOfRun.set(run_id, seq)
    return undefined
  }

  /** What they come to; undefined where there is none. */
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
      return seq === due ? undefined : `stands where entry ${due} is due`
    }
    const [named, due] =
      'lock' in selection ? [prev.stream, last] : [prev.run ?? null, this.#lastOfRun.get(run_id ?? '') ?? null]
    return named === due ? undefined : `names ${named} as the one before it, where ${due} stands`
  }
}
