import { statusAfter } from '../domain/run/state.ts'
import type { Code } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Appended } from '../log/log.ts'
import type { Item } from './submission.ts'

/** How often something happened, by a word of a closed list. */
export type Counts = Map<string, number>

/**
 * What the commands of an open ledger came to, since it was opened. Counting is one addition. Words are codes, reasons
 * and states; ids and names are never counted, because their number has no bound.
 */
export class Tally {
  readonly counts = {
    /** Acquisitions by result: granted, contention or timed_out. */
    acquisitions: new Map() as Counts,
    /** Decisions of the policy: allow or deny. */
    decisions: new Map() as Counts,
    /** Promotions of turns by code; `PROMOTED` if the turn was promoted. */
    promotions: new Map() as Counts,
    /** Recoveries of locks by reason. */
    recoveries: new Map() as Counts,
    /** Refusals of commands by code, whether or not they were recorded. */
    refusals: new Map() as Counts,
    /** Moves of runs, by the state that they moved to. */
    runs: new Map() as Counts,
  }
  /** Called once for each durable batch that has entries, with the time for writing and syncing it. */
  onBatch: (batch: { entries: number; seconds: number }) => void = () => {}
  #lastWrittenAt = 0

  /** Counts entries that are durable now. */
  published(entries: readonly Entry[]): void {
    for (const { data, type } of entries) {
      const place = places.get(type)
      if (place !== undefined) add(this.counts[place.counts], place.wordOf(data))
    }
  }

  /** Counts a refusal that its caller is told. */
  refused({ command }: Item, code: Code): void {
    const { acquisitions, promotions, refusals } = this.counts
    add(refusals, code)
    if (command.type === 'turn.promote') add(promotions, code)
    if (command.type !== 'lock.acquire' && command.type !== 'lock.acquire_all') return
    if (code === 'LOCK_CONTENTION') add(acquisitions, 'contention')
    else if (code === 'TIMED_OUT') add(acquisitions, 'timed_out')
  }

  /** Tells how long an append took. Appends are written one after the other, so each begins after the one before. */
  async timed(entries: number, appending: Promise<Appended>): Promise<Appended> {
    const askedAt = performance.now()
    const appended = await appending
    const now = performance.now()
    if (appended.outcome === 'done') {
      this.onBatch({ entries, seconds: (now - Math.max(askedAt, this.#lastWrittenAt)) / 1000 })
    }
    this.#lastWrittenAt = now
    return appended
  }
}

interface Place {
  counts: keyof Tally['counts']
  wordOf: (data: Entry['data']) => string
}

/** Where an event is counted, and under which word. */
const places: ReadonlyMap<string, Place> = new Map<string, Place>([
  ['lock.acquired', { counts: 'acquisitions', wordOf: () => 'granted' }],
  ['lock.recovered', { counts: 'recoveries', wordOf: (data) => String(data.recovery_reason) }],
  ['run.decided', { counts: 'decisions', wordOf: (data) => String(data.decision) }],
  ['turn.promoted', { counts: 'promotions', wordOf: () => 'PROMOTED' }],
  ...Object.entries({ 'run.created': 'created', 'run.started': 'running', ...statusAfter }).map(
    ([type, status]): [string, Place] => [type, { counts: 'runs', wordOf: () => status }],
  ),
])

function add(counts: Counts, word: string): void {
  counts.set(word, (counts.get(word) ?? 0) + 1)
}
