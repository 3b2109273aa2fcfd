import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { nanoid } from 'nanoid'
import { limits } from '../kernel/limits.ts'
import { Exchange, type Place } from './exchange.ts'
import { forgetBody } from './input.ts'
import { notBegun } from './problem.ts'

/** The requests in progress. Short requests, calls that wait, and streams are counted and limited apart. */
export class InProgress {
  readonly counts = { events: 0, lines: 0, requests: 0, waiting: 0 }
  readonly #exchanges = new Map<ServerResponse, Exchange>()
  readonly #ended: (exchange: Exchange) => void
  readonly #idPrefix = nanoid(8)
  #lastId = 0
  #allAnswered = () => {}

  /** `ended` is told of each request when its connection has the whole answer, or is gone. */
  constructor(ended: (exchange: Exchange) => void) {
    this.#ended = ended
  }

  get size(): number {
    return this.#exchanges.size
  }

  /** Begins a request. Its answer ends it. */
  accept(incoming: IncomingMessage, outgoing: ServerResponse, place: Place): Exchange {
    this.#lastId += 1
    const exchange = new Exchange(incoming, outgoing, { id: `${this.#idPrefix}-${this.#lastId}`, place })
    this.#exchanges.set(outgoing, exchange)
    this.counts.requests += 1
    outgoing.once('close', () => this.#end(exchange))
    return exchange
  }

  /** Counts a request as a stream or a waiting call. Errors: LEDGER_UNAVAILABLE (too many of them). */
  move(exchange: Exchange, kind: 'events' | 'lines' | 'waiting'): void {
    const { events, lines, waiting } = this.counts
    const [count, max] = kind === 'waiting' ? [waiting, limits.waitingRequestsMax] : [events + lines, limits.streamsMax]
    if (count >= max) {
      throw notBegun(`${max} such calls are in progress`, 'Repeat the request a little later.')
    }
    this.counts[exchange.kind] -= 1
    this.counts[kind] += 1
    exchange.kind = kind
  }

  of(outgoing: ServerResponse): Exchange {
    return this.#exchanges.get(outgoing) as Exchange
  }

  /** The request that is being answered on a connection. */
  on(socket: Duplex): Exchange | undefined {
    return [...this.#exchanges.values()].find(({ outgoing }) => outgoing.socket === socket)
  }

  /** The ledger that they read is replaced: streams without end do so, and are told where to go on. */
  endStreams(): void {
    for (const exchange of this.#exchanges.values()) if (exchange.kind !== 'waiting') exchange.endStream()
  }

  /** The service closes: tells all requests. Resolves when each is answered, or after a limited time. */
  drain(): Promise<void> {
    for (const exchange of this.#exchanges.values()) exchange.drain()
    if (this.#exchanges.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limits.drainMillisMax)
      this.#allAnswered = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #end(exchange: Exchange): void {
    this.#exchanges.delete(exchange.outgoing)
    this.counts[exchange.kind] -= 1
    forgetBody(exchange)
    this.#ended(exchange)
    if (this.#exchanges.size === 0) this.#allAnswered()
  }
}
