import { caseOf } from '../domain/audit/events.ts'
import { readAs } from '../domain/rendered-event.ts'
import { statusAfter } from '../domain/run/state.ts'
import type { Entry } from '../kernel/entry.ts'
import type { RunStatus } from '../kernel/vocabulary.ts'
import { corrupt } from '../log/corrupt.ts'
import {
  blockEntries,
  creationTail,
  type EntryWord,
  entryLetters,
  numbered,
  placeOf,
  postingTail,
  type RunWord,
  runTail,
} from './index-keys.ts'

/** A change to a row of the index; undefined deletes it. */
export interface IndexChange {
  tail: Buffer
  value: Buffer | undefined
}

/** Whether an entry of this type moves a run that was created before. */
export function isMove(type: string): boolean {
  return type === 'run.started' || statusAfter[type] !== undefined
}

/** The value of a run's row: everything is in its key. */
const nothing = Buffer.alloc(0)
const words = Object.keys(entryLetters) as EntryWord[]

/**
 * Derives index rows from entries, starting at the beginning of a block. The result depends only on the entries and
 * on the creation seqs of earlier runs.
 */
export class IndexDerivation {
  readonly #creationOf: (runId: string) => number | undefined
  /** The creation seqs of runs that were created here and have not ended. */
  readonly #creations = new Map<string, number>()
  /** The last change of each row. The key is the tail as latin1 text. */
  #changes = new Map<string, IndexChange>()
  #bits = new Map<string, { word: EntryWord; value: string; bits: Buffer }>()

  constructor(creationOf: (runId: string) => number | undefined = () => undefined) {
    this.#creationOf = creationOf
  }

  /** Takes the next entry. An entry that is already indexed (`isKnown`) only completes the bits of its block. */
  next(entry: Entry, { isKnown = false }: { isKnown?: boolean } = {}): void {
    this.#takeWords(entry)
    if ((entry.seq + 1) % blockEntries === 0) this.#endBlock((entry.seq + 1) / blockEntries - 1)
    if (!isKnown) this.#takeMove(entry)
  }

  /** Returns and clears the changes so far. */
  take(): IndexChange[] {
    const changes = [...this.#changes.values()]
    this.#changes = new Map()
    return changes
  }

  #takeWords(entry: Entry): void {
    const { action_type, outcome } = readAs(entry)
    const { actor_id } = entry.actor
    const values = { action_type, actor_id, case_id: caseOf(entry), outcome, type: entry.type }
    for (const word of words) {
      const value = values[word]
      if (value === undefined) continue
      const key = `${entryLetters[word]}${value}`
      let posting = this.#bits.get(key)
      if (posting === undefined) {
        posting = { word, value, bits: Buffer.alloc(blockEntries / 8) }
        this.#bits.set(key, posting)
      }
      const at = entry.seq % blockEntries
      posting.bits[at >> 3] = (posting.bits[at >> 3] ?? 0) | (1 << (at & 7))
    }
  }

  #endBlock(block: number): void {
    for (const { bits, value, word } of this.#bits.values()) this.#put(postingTail(word, value, block), bits)
    this.#bits = new Map()
  }

  #takeMove(entry: Entry): void {
    const { data, run_id, seq, type } = entry
    const to = type === 'run.created' ? 'created' : type === 'run.started' ? 'running' : statusAfter[type]
    if (run_id === undefined || to === undefined) return
    if (to === 'created') {
      this.#takeCreation(entry, run_id)
      return
    }
    const created = this.#creations.get(run_id) ?? this.#creationOf(run_id)
    if (created === undefined) throw corrupt(`the index has no creation of ${run_id}`, { check: 'index', seq })
    if (to !== 'running') this.#creations.delete(run_id)
    const place = placeOf(created, run_id)
    // A run that ended without having run has no duration.
    const from: RunStatus = to === 'running' || data.duration_ms === null ? 'created' : 'running'
    this.#change(runTail('status', from, place), undefined)
    this.#put(runTail('status', to, place), nothing)
  }

  #takeCreation({ case_id, data, lane_id, root_run_id, seq }: Entry, runId: string): void {
    const place = placeOf(seq, runId)
    const { actor, run_kind } = data as { actor: { actor_id: string }; run_kind: string }
    const values: [RunWord, string | undefined][] = [
      ['actor_id', actor.actor_id],
      ['any', ''],
      ['case_id', case_id],
      ['lane_id', lane_id],
      ['root_run_id', root_run_id],
      ['run_kind', run_kind],
      ['status', 'created'],
    ]
    for (const [word, value] of values) if (value !== undefined) this.#put(runTail(word, value, place), nothing)
    this.#put(creationTail(runId), numbered(seq))
    this.#creations.set(runId, seq)
  }

  #put(tail: Buffer, value: Buffer): void {
    this.#change(tail, value)
  }

  #change(tail: Buffer, value: Buffer | undefined): void {
    this.#changes.set(tail.toString('latin1'), { tail, value })
  }
}
