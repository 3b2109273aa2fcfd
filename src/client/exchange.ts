import { Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { type RequestOutcome, unreachable } from './failures.ts'

/** A request of HTTP, and how long its answer may take. */
export interface Request {
  method: 'GET' | 'POST' | 'PUT'
  path: string
  headers: Record<string, string>
  body?: string | Uint8Array
  /** The most milliseconds until the answer begins, and between two parts of it. 0: without end. */
  answerMillisMax: number
  signal?: AbortSignal | undefined
}

/** A request whose body may be passed on while it arrives. */
export type StreamedRequest = Omit<Request, 'body'> & { body?: Readable | string | Uint8Array }

/** The head of an answer, and its body, which is read as slowly as the reader reads. */
export interface Answer {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  body: Readable
}

/**
 * Sends one request. If the signal aborts, the request is destroyed. Errors: LEDGER_UNAVAILABLE with the outcome
 * `not_applied` if nothing was sent; reading the body rejects with the outcome `unknown`.
 */
export function exchange(
  dispatcher: Dispatcher,
  place: string,
  { answerMillisMax, signal, ...request }: StreamedRequest,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const limits = { headersTimeout: answerMillisMax, bodyTimeout: answerMillisMax }
    dispatcher.dispatch({ ...request, ...limits }, new Exchange(place, signal, { resolve, reject }))
  })
}

interface Settle {
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
}

type Controller = Dispatcher.DispatchController

class Exchange implements Dispatcher.DispatchHandler {
  readonly #place: string
  readonly #signal: AbortSignal | undefined
  readonly #settle: Settle
  #outcome: RequestOutcome = 'not_applied'
  #body: Readable | undefined
  readonly #onAbort = () => this.#fail(this.#signal?.reason)
  #abort: (reason: Error) => void = () => {}

  constructor(place: string, signal: AbortSignal | undefined, settle: Settle) {
    this.#place = place
    this.#signal = signal
    this.#settle = settle
    signal?.addEventListener('abort', this.#onAbort)
  }

  /** Called when a connection is there, before the first byte is written. */
  onRequestStart(controller: Controller): void {
    this.#abort = (reason) => controller.abort(reason)
    if (this.#signal?.aborted) controller.abort(new Error('the signal has aborted'))
    else this.#outcome = 'unknown'
  }

  onResponseStart(controller: Controller, status: number, headers: Answer['headers']): void {
    this.#body = new Readable({
      read: () => controller.resume(),
      destroy: (error, done) => {
        // The reader stopped before the end: the service is told by the end of the connection.
        controller.abort(error ?? new Error('the reader stopped'))
        done(error)
      },
      autoDestroy: false,
    })
    // An iteration rejects with the error. A body that nobody reads must not end the process.
    this.#body.on('error', () => {})
    this.#settle.resolve({ status, headers, body: this.#body })
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#body?.push(chunk) === false) controller.pause()
  }

  onResponseEnd(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#body?.push(null)
  }

  onResponseError(_: Controller, error: Error): void {
    this.#fail(error)
  }

  #fail(error: unknown): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    const failure = unreachable(this.#place, this.#outcome, error)
    this.#settle.reject(failure)
    if (this.#body?.destroyed === false) this.#body.destroy(failure)
    else this.#abort(failure)
  }
}
