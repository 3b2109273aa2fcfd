import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { errorOf } from '../client/failures.ts'
import { Peer, type PeerAnswer } from '../client/peer.ts'
import { retried } from '../client/retries.ts'
import type { TlsOptions } from '../client/undici-transport.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { evidenceFor } from '../writer/holders.ts'
import { type Caller, evidenceListMax, nodeHeaders } from './caller.ts'
import type { Exchange } from './exchange.ts'

/** Sends the answer of a call. */
type Tell = () => void

/** A call that the writer of the ledger decides or answers. */
export interface WritersCall {
  caller: Caller
  /** Makes the call in this process, which writes. */
  here: () => Promise<Tell>
  /** The body to send to the writer; undefined for a request without one. */
  body: () => Readable | string | undefined
  /** Whether the call may be sent again after its answer was lost. */
  isRepeatable: boolean
  /** The processes of this machine that the call names. */
  pids?: readonly number[]
  /** Ends a call that may take long. */
  signal?: AbortSignal | undefined
}

/** A call that changes nothing. This node answers it, unless only the writer can or the caller asks for that. */
export interface Read extends Pick<WritersCall, 'caller' | 'here' | 'signal'> {
  isFresh?: boolean
}

export interface ForwardOptions {
  /** The node's own token, under which it vouches for callers on its socket. */
  token?: string | undefined
  /** What the nodes trust. */
  tls?: TlsOptions | undefined
}

/** Marks a request that came from another node. It is not sent on, so that two nodes never send one in circles. */
const forwardedHeader = 'lockstep-forwarded'

/** What a node passes on of a request. */
const passedOn = ['accept', 'authorization', 'content-type', 'idempotency-key', 'traceparent', 'tracestate']
/** What it passes back of an answer. Its own service adds the rest. */
const passedBack = ['allow', 'lockstep-size', 'location', 'retry-after', 'www-authenticate']
const codesToRepeat: ReadonlySet<string> = new Set([
  'LEDGER_CLOSED',
  'LEDGER_MOVED',
  'LEDGER_UNAVAILABLE',
  'NOT_WRITER',
])

/**
 * Brings calls to the node that writes the ledger: here, or at another node over HTTP. There is no queue. If the writer
 * changes meanwhile, or its answer is lost, the call is made again at the new writer for a limited time. The ledger
 * recognises it by its key or lock_id, so it takes effect once.
 */
export class Forward {
  /** Whether several nodes share the ledger. */
  readonly isShared: boolean
  readonly #options: ForwardOptions
  #isHere = true
  #peer: Peer | undefined
  #wake: () => void = () => {}
  #changed: Promise<void> = Promise.resolve()

  /** Without options this process is the only one that serves the ledger. */
  constructor(options: ForwardOptions | undefined) {
    this.isShared = options !== undefined
    this.#options = options ?? {}
    this.#changes()
  }

  /** Whether this process writes the ledger. */
  get isHere(): boolean {
    return this.#isHere
  }

  /** Whether a node is known that writes the ledger. */
  get isReady(): boolean {
    return this.#isHere || this.#peer !== undefined
  }

  /** This process, or the node at a URL, writes from now on; undefined if no node is known to. */
  to(writer: 'here' | string | undefined): void {
    const url = writer === 'here' ? undefined : writer
    if (this.#isHere === (writer === 'here') && this.#peer?.url === url) return
    // What was sent to the earlier writer is given up: its outcome is unknown.
    void this.#peer?.close()
    this.#isHere = writer === 'here'
    this.#peer = url === undefined ? undefined : new Peer(url, this.#options.tls)
    this.#changes()
  }

  async close(): Promise<void> {
    await this.#peer?.close()
  }

  /** Answers a call that changes nothing. Errors: those of the operation; NOT_WRITER as for `answer`. */
  async read(exchange: Exchange, { isFresh = false, ...call }: Read): Promise<void> {
    if (!isFresh || this.#isHere) {
      const failure = await call.here().then(
        (tell) => tell(),
        (error: unknown) => error as object,
      )
      if (failure === undefined) return
      if (!this.isShared || !(failure instanceof LockstepError) || failure.code !== 'NOT_WRITER') throw failure
    }
    await this.answer(exchange, { ...call, body: () => undefined, isRepeatable: true })
  }

  /** Has the writer answer a call. Errors: those of the operation; NOT_WRITER if no writer could be reached. */
  async answer(exchange: Exchange, call: WritersCall): Promise<void> {
    if (!this.isShared) return (await call.here())()
    const signal = call.signal ?? new AbortController().signal
    const send = () => (this.#isHere ? call.here() : this.#sent(exchange, call, signal))
    try {
      const tell = await send().catch((failure: unknown) => {
        const isFinal = exchange.header(forwardedHeader) !== undefined || !this.#canForward(exchange)
        if (isFinal || !isLost(failure)) throw failure
        return retried(failure, { isRepeatable: call.isRepeatable, revive: () => this.#orChanged(), send, signal })
      })
      tell()
    } catch (error) {
      if (signal.aborted && exchange.isDraining) throw new LockstepError('ABORTED', 'the service closes')
      throw this.#withLocation(error, exchange)
    }
  }

  #changes(): void {
    const wake = this.#wake
    this.#changed = new Promise((resolve) => {
      this.#wake = resolve
    })
    wake()
  }

  /** While no writer is known, the next attempt waits for one, for as long as a takeover takes at most. */
  async #orChanged(): Promise<void> {
    if (this.#isHere || this.#peer !== undefined) return
    await Promise.race([this.#changed, pause(limits.seatMillis.lease, undefined, { ref: false })])
  }

  #canForward(exchange: Exchange): boolean {
    return this.#isHere || exchange.header('authorization') !== undefined || this.#options.token !== undefined
  }

  async #sent(exchange: Exchange, { body, caller, pids }: WritersCall, signal: AbortSignal): Promise<Tell> {
    if (this.#peer === undefined) throw notWriter('no node is known to write it')
    if (exchange.header(forwardedHeader) !== undefined) throw notWriter('another node writes it')
    if (!this.#canForward(exchange))
      throw notWriter('another node writes it, and this node has no token to forward with')
    const text = body()
    const answer = await this.#peer.send({
      answerMillisMax: exchange.kind === 'waiting' ? 0 : limits.answerMillisMax,
      headers: this.#headersOf(exchange, caller, pids),
      method: exchange.incoming.method as 'GET' | 'POST' | 'PUT',
      path: exchange.url,
      signal,
      ...(text === undefined ? {} : { body: text }),
    })
    const failure = failureIn(answer, this.#peer.url)
    if (isLost(failure)) throw failure
    return () => {
      const { 'content-type': type } = answer.headers
      exchange.send(answer.status, String(type), answer.body, picked(answer.headers, passedBack))
    }
  }

  #headersOf(exchange: Exchange, { authn }: Caller, pids: readonly number[] = []): Record<string, string> {
    const headers = { ...picked(exchange.incoming.headers, passedOn), [forwardedHeader]: '1' }
    const { token } = this.#options
    if (token === undefined) return headers
    const evidence = pids.length === 0 ? {} : { [nodeHeaders.evidence]: evidenceText(pids) }
    return { ...headers, ...evidence, [nodeHeaders.authn]: authn, [nodeHeaders.token]: token }
  }

  /** The error with where the caller can make the call itself. */
  #withLocation(error: unknown, exchange: Exchange): unknown {
    if (!(error instanceof LockstepError) || error.code !== 'NOT_WRITER' || this.#peer === undefined) return error
    const { details, hint, message } = error
    const location = `${this.#peer.url.replace(/\/$/, '')}${exchange.url}`
    return new LockstepError('NOT_WRITER', message, { details: { ...details, location }, hint, cause: error })
  }
}

function notWriter(why: string): LockstepError {
  return new LockstepError('NOT_WRITER', `this node does not write the ledger: ${why}`, {
    details: { outcome: 'not_applied' },
    hint: 'Repeat the request a little later, or at the node that details.location names.',
  })
}

/** Whether an error says that the writer is not there now, so that the call is made again at the next one. */
export function isLost(error: unknown): error is LockstepError {
  return error instanceof LockstepError && codesToRepeat.has(error.code)
}

/** The error in an answer that says that the writer cannot decide now; undefined for any other answer. */
function failureIn({ body, status }: PeerAnswer, place: string): LockstepError | undefined {
  if (status !== 421 && status !== 503) return undefined
  try {
    return errorOf(JSON.parse(body.toString('utf8')), place)
  } catch {
    return errorOf(undefined, place)
  }
}

function picked(headers: PeerAnswer['headers'], names: readonly string[]): Record<string, string> {
  const given = names.flatMap((name) => (headers[name] === undefined ? [] : [[name, String(headers[name])]]))
  return Object.fromEntries(given)
}

/** The facts about processes of this machine. One that is not running is left out, and the writer refuses its call. */
function evidenceText(pids: readonly number[]): string {
  const found = [...new Set(pids)].slice(0, evidenceListMax).flatMap((pid) => {
    try {
      return evidenceFor([pid])
    } catch (error) {
      if (error instanceof LockstepError && error.code === 'PID_NOT_FOUND') return []
      throw error
    }
  })
  return encodeURIComponent(JSON.stringify(found))
}
