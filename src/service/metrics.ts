import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Figures } from '../nouns/figures.ts'
import type { Tally } from '../writer/tally.ts'
import type { OutsideFigures } from './outside.ts'

/** Numbers of the service itself. */
export interface ServiceFigures {
  requests_in_flight: number
  waiting_requests: number
  streams: number
  sse_clients: number
  leases_active: number
}

const help: Readonly<
  Record<
    keyof ServiceFigures | keyof OutsideFigures | Exclude<keyof Figures, 'has_key' | 'is_forked' | 'is_writable'>,
    string
  >
> = {
  batches: 'Batches that were appended and synced since the ledger was opened.',
  entries: 'Entries that were appended since the ledger was opened.',
  puts: 'Pairs that were written to the database since the ledger was opened.',
  head_size: 'Entries in the ledger.',
  index_lag: 'Entries that the search index has yet to read.',
  reactor_lag: 'Entries that the slowest reactor has yet to read.',
  queue: 'Commands that wait to be decided.',
  waiting: 'Callers that wait for a lock.',
  requests_in_flight: 'Requests in progress, without waiting calls and streams.',
  waiting_requests: 'Calls in progress that may take long.',
  streams: 'Open streams, as JSON Lines or as server-sent events.',
  sse_clients: 'Open streams of server-sent events.',
  leases_active: 'Locks that were held at the last sweep.',
  anchors_failing: 'Places that the last signed checkpoint could not be sent to.',
  witness_quorum_age_s: 'Seconds since a quorum of witnesses cosigned a checkpoint; -1 without one.',
  witness_quorum_size: 'Entries in the newest checkpoint that a quorum cosigned; -1 without one.',
  witnesses_failing: 'Witnesses that did not cosign the last checkpoint.',
}
const counters = new Set(['batches', 'entries', 'puts'])

/** The label of each count of the ledger, and what it counts since the ledger was opened. */
const counted: Readonly<Record<keyof Tally['counts'], [label: string, help: string]>> = {
  acquisitions: [
    'result',
    'Acquisitions of locks: granted, refused at once (contention) or after waiting (timed_out).',
  ],
  decisions: ['result', 'Decisions of the policy on actions and starts of runs.'],
  promotions: ['code', 'Promotions of turns: PROMOTED, or the code of the refusal.'],
  recoveries: ['reason', 'Recoveries of locks whose holder was gone.'],
  refusals: ['code', 'Commands that the ledger refused, by code.'],
  runs: ['state', 'Runs that came into a state.'],
}

/**
 * The metrics of one service, in the text format of Prometheus. Counting is a plain addition; the metrics are made from
 * the numbers when somebody asks. Labels are operations and statuses, never ids.
 */
export class Metrics {
  readonly #registry = new Registry()
  readonly #requests = new Map<string, Map<number, number>>()
  readonly #figures: () => Promise<Figures & OutsideFigures & ServiceFigures>
  readonly #numbers = new Map<keyof typeof help, Counter | Gauge>()
  readonly #byOperation: Counter
  readonly #byWord: [counter: Counter, label: string, name: keyof Tally['counts']][]
  readonly #onBatch: NonNullable<Tally['onBatch']>
  readonly #tally: () => Tally
  readonly #states: Readonly<Record<'has_key' | 'is_forked' | 'is_writable', Gauge>>

  /** `tally` is asked each time: in a node the ledger changes with the writer. */
  constructor(figures: () => Promise<Figures & OutsideFigures & ServiceFigures>, tally: () => Tally) {
    this.#figures = figures
    this.#tally = tally
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    for (const [name, about] of Object.entries(help)) {
      const isCount = counters.has(name)
      const settings = { name: `lockstep_${name}${isCount ? '_total' : ''}`, help: about, registers }
      this.#numbers.set(name as keyof typeof help, isCount ? new Counter(settings) : new Gauge(settings))
    }
    const byOperation = { help: 'Requests by operation and HTTP status.', labelNames: ['operation', 'status'] }
    this.#byOperation = new Counter({ name: 'lockstep_requests_total', ...byOperation, registers })
    this.#byWord = Object.entries(counted).map(([name, [label, about]]) => {
      const counter = new Counter({ name: `lockstep_${name}_total`, help: about, labelNames: [label], registers })
      return [counter, label, name as keyof typeof counted]
    })
    const forked = 'Whether there is proof that the ledger has two histories. It then grants nothing more.'
    this.#states = {
      is_forked: new Gauge({ name: 'lockstep_is_forked', help: forked, registers }),
      has_key: new Gauge({ name: 'lockstep_has_key', help: 'Whether a private key is here to sign with.', registers }),
      is_writable: new Gauge({ name: 'lockstep_is_writable', help: 'Whether the ledger takes commands.', registers }),
    }
    this.#onBatch = this.#histograms()
  }

  /** Histograms cannot be made from numbers afterwards, so each batch is observed once it is durable. */
  #histograms(): NonNullable<Tally['onBatch']> {
    const registers = [this.#registry]
    const size = new Histogram({
      name: 'lockstep_batch_entries',
      help: 'Entries of a batch.',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 1_024, 4_096],
      registers,
    })
    const sync = new Histogram({
      name: 'lockstep_batch_sync_seconds',
      help: 'Time for writing and syncing a batch.',
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5],
      registers,
    })
    return ({ entries, seconds }) => {
      size.observe(entries)
      sync.observe(seconds)
    }
  }

  /** Observes the batches of a ledger that this process writes from now on. */
  observe(tally: Tally): void {
    tally.onBatch = this.#onBatch
  }

  /** Counts a request, or a line of a batch. */
  count(operation: string, status: number): void {
    let byStatus = this.#requests.get(operation)
    if (byStatus === undefined) {
      byStatus = new Map()
      this.#requests.set(operation, byStatus)
    }
    byStatus.set(status, (byStatus.get(status) ?? 0) + 1)
  }

  /** All metrics as text. */
  async text(): Promise<string> {
    const figures = await this.#figures()
    for (const [name, number] of this.#numbers) {
      number.reset()
      number.inc(figures[name] ?? -1)
    }
    this.#states.is_forked.set(figures.is_forked ? 1 : 0)
    this.#states.has_key.set(figures.has_key ? 1 : 0)
    this.#states.is_writable.set(figures.is_writable ? 1 : 0)
    this.#byOperation.reset()
    for (const [operation, byStatus] of this.#requests) {
      for (const [status, count] of byStatus) this.#byOperation.inc({ operation, status }, count)
    }
    const { counts } = this.#tally()
    for (const [counter, label, name] of this.#byWord) {
      counter.reset()
      for (const [word, count] of counts[name]) counter.inc({ [label]: word }, count)
    }
    return this.#registry.metrics()
  }
}
