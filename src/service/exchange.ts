import type { IncomingMessage, ServerResponse } from 'node:http'
import { mediaTypes, type Problem } from '../api/wire.ts'
import { limits } from '../kernel/limits.ts'
import { type TraceContext, traceOf } from '../kernel/trace.ts'
import { headersOf, problemOf } from './problem.ts'

/** Where a request came in. Only callers on the socket are on this machine for certain. */
export interface Place {
  kind: 'socket' | 'tcp'
  /** Over TCP: whether a Host header may name this service. */
  isOwnHost: (host: string) => boolean
}

/** No answer is cached, framed, sniffed or followed from a web page. */
const securityHeaders = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
} as const

/** One request and its answer. An answer is sent once; later ones are ignored, because the client may be gone. */
export class Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly place: Place
  readonly id: string
  readonly #startedAt = performance.now()
  /** The operation or route, for metrics and logs. */
  route = 'unknown'
  /** The bytes of the body that were read so far. */
  bodyBytes = 0
  /** Calls that may take long, and streams of each type, count apart from short requests. */
  kind: 'events' | 'lines' | 'requests' | 'waiting' = 'requests'
  /** The error of the service itself that the request was answered with. */
  defect: unknown
  /** Whether the service is closing. */
  isDraining = false
  #ending: AbortController | undefined

  constructor(incoming: IncomingMessage, outgoing: ServerResponse, { id, place }: { id: string; place: Place }) {
    this.incoming = incoming
    this.outgoing = outgoing
    this.place = place
    this.id = id
  }

  /** How long the request has taken so far. */
  millis(): number {
    return Math.round(performance.now() - this.#startedAt)
  }

  /** The path and the parameters. */
  get url(): string {
    return this.incoming.url ?? '/'
  }

  header(name: string): string | undefined {
    const value = this.incoming.headers[name]
    return Array.isArray(value) ? value.join(', ') : value
  }

  /** The distributed trace that the request belongs to. */
  get trace(): TraceContext | undefined {
    return traceOf(this.header('traceparent'), this.header('tracestate'))
  }

  /**
   * A signal that aborts when the client goes away before its whole answer was sent. With `untilDrain` it also aborts
   * when the service begins to close. Only calls that may take long ask for it, because it costs a listener.
   */
  signal({ untilDrain }: { untilDrain: boolean }): AbortSignal {
    const ending = new AbortController()
    this.outgoing.once('close', () => {
      if (!this.outgoing.writableFinished) ending.abort()
    })
    if (this.outgoing.destroyed || (untilDrain && this.isDraining)) ending.abort()
    if (untilDrain) this.#ending = ending
    return ending.signal
  }

  /** Ends a stream without end: its reader reads on from the last item that arrived. */
  endStream(): void {
    this.#ending?.abort()
  }

  /** The service begins to close: the connection ends with this answer, and what waits is told so. */
  drain(): void {
    this.isDraining = true
    this.outgoing.shouldKeepAlive = false
    this.#ending?.abort()
  }

  send(status: number, type: string, body: string | Uint8Array, more: Readonly<Record<string, string>> = {}): void {
    if (this.outgoing.headersSent || this.outgoing.destroyed) return
    this.outgoing.writeHead(status, { ...this.#headers(type), 'Content-Length': Buffer.byteLength(body), ...more })
    this.outgoing.end(body)
    if (this.outgoing.socket?.writableNeedDrain) this.#limitReader()
  }

  /** Gives up on a client that does not read a long answer. */
  #limitReader(): void {
    const timer = setTimeout(() => this.outgoing.destroy(), limits.answerReadMillisMax)
    this.outgoing.once('close', () => clearTimeout(timer))
  }

  /** `size` is the size of the ledger that the answer is about, where it can be behind the writer's. */
  sendJson(answer: unknown, size?: number): void {
    this.send(200, mediaTypes.json, JSON.stringify(answer), size === undefined ? {} : { 'Lockstep-Size': String(size) })
  }

  /** An error as this request's problem document. A defect of the service is kept for the log. */
  problem(thrown: unknown): Problem {
    const problem = problemOf(thrown, this.id)
    if (problem.status === 500) this.defect ??= thrown
    return problem
  }

  sendProblem(thrown: unknown): void {
    const problem = this.problem(thrown)
    this.send(problem.status, mediaTypes.problem, JSON.stringify(problem), headersOf(problem))
  }

  /** Begins an answer that is sent in pieces. */
  begin(type: string, more: Readonly<Record<string, string>> = {}): void {
    this.outgoing.writeHead(200, { ...this.#headers(type), ...more })
    this.outgoing.flushHeaders()
  }

  #headers(type: string): Record<string, string> {
    const echoed = this.trace && { traceparent: this.trace.traceparent }
    return { 'Content-Type': type, 'Request-Id': this.id, ...echoed, ...securityHeaders }
  }
}
