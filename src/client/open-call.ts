import { LockstepError } from '../errors.ts'
import { onAbort } from '../kernel/abort.ts'
import { aborted, closedClient, type RequestOutcome } from './failures.ts'

/**
 * A call with a request of its own: one that waits, one with a signal, or a stream. It stops when the caller's signal
 * aborts or when the client closes; its own signal then aborts, and its request is destroyed.
 */
export class OpenCall {
  readonly name: string
  readonly #controller = new AbortController()
  readonly #stopListening: (() => void) | undefined
  #isClosed = false

  constructor(name: string, signal: AbortSignal | undefined) {
    this.name = name
    this.#stopListening = signal && onAbort(signal, () => this.#controller.abort())
    // A signal that has aborted calls no listener.
    if (signal?.aborted) this.#controller.abort()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Called when the client closes. */
  close(): void {
    this.#isClosed = true
    this.#controller.abort()
  }

  /** Called once the call is over. */
  end(): void {
    this.#stopListening?.()
  }

  /** The error of this call for an error of its request: a request that was destroyed says why. */
  explained(error: unknown): unknown {
    if (!this.signal.aborted) return error
    const outcome = error instanceof LockstepError ? error.details.outcome : undefined
    const known: RequestOutcome = outcome === 'not_applied' ? outcome : 'unknown'
    return this.#isClosed ? closedClient(known) : aborted(this.name, known)
  }
}
