import type { Readable } from 'node:stream'
import { buildConnector, Pool } from 'undici'
import { waits } from '../api/call-facts.ts'
import type { CallOptions } from '../api/operation.ts'
import { paths } from '../api/wire.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { Batches } from './batches.ts'
import { type Answer, exchange, type Request } from './exchange.ts'
import { aborted, closedClient, errorOf } from './failures.ts'
import { itemsOf } from './items.ts'
import { parsed, textOf } from './lines.ts'
import { OpenCall } from './open-call.ts'
import { isRepeatable } from './remote-api.ts'
import { lineOf, putOf, requestOf, traceHeaders, withTimeLeft } from './requests.ts'
import { type Retry, retried } from './retries.ts'
import type { RemoteOperation, Transport } from './transport.ts'

/** Where a service is, and how to speak to it. */
export interface Service {
  /** The scheme, host and port; `http://localhost` for a Unix socket. */
  origin: string
  /** The path of the Unix socket as it is now; undefined while there is no service. Left out for TCP. */
  socket?: (() => string | undefined) | undefined
  /** The service's place, for messages. */
  place: string
  tls?: TlsOptions | undefined
  token?: string | undefined
  /** Starts the service, if it does not answer. */
  revive?: (() => Promise<unknown>) | undefined
}

/** In PEM: the certificate of the authority to trust, and the caller's own certificate and key. */
export interface TlsOptions {
  ca?: string
  cert?: string
  key?: string
  /** The name that the service's certificate must have, if it is not the host of the URL. */
  servername?: string
}

/**
 * Carries calls over HTTP. Most calls travel in batches. Calls that may wait, calls with a signal, and streams have a
 * request of their own, because such a call would delay or end its whole batch. They also have connections of their
 * own, so that they never delay the release that they wait for.
 */
export class UndiciTransport implements Transport {
  readonly #alone: Pool
  readonly #batched: Pool
  readonly #batches: Batches
  readonly #closing = new AbortController()
  readonly #headers: Record<string, string>
  readonly #opening = new Set<Promise<unknown>>()
  readonly #service: Service
  readonly #underWay = new Set<OpenCall>()
  #closed: Promise<void> | undefined
  #unanswered = 0
  #onAnswered = () => {}

  constructor(service: Service) {
    const { origin, place, token } = service
    const connect = connector(service)
    this.#alone = new Pool(origin, { connect, connections: limits.openCallsMax })
    this.#batched = new Pool(origin, { connect, connections: 2 })
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    this.#batches = new Batches(this.#batched, place, this.#headers)
    this.#service = service
  }

  /** Resolves if a service answers. Errors: LEDGER_UNAVAILABLE. */
  async reach(): Promise<void> {
    const { signal } = this.#closing
    const request = {
      method: 'GET',
      path: paths.live,
      headers: {},
      answerMillisMax: limits.connectMillisMax,
      signal,
    } as const
    await textOf((await exchange(this.#alone, this.#service.place, request)).body)
  }

  ask(operation: RemoteOperation, input: object, options: CallOptions): Promise<unknown> {
    const { name } = operation
    const { signal } = options
    if (this.#closed !== undefined) return Promise.reject(closedClient('not_applied'))
    if (signal?.aborted) return Promise.reject(aborted(name, 'not_applied'))
    const isAlone = signal !== undefined || waits(name, input)
    return this.#counted(
      isAlone ? this.#askAlone(operation, input, options) : this.#askInBatch(operation, input, options),
    )
  }

  put(path: string, body: Uint8Array, { signal }: CallOptions): Promise<unknown> {
    if (this.#closed !== undefined) return Promise.reject(closedClient('not_applied'))
    if (signal?.aborted) return Promise.reject(aborted('put', 'not_applied'))
    const request = { ...putOf(path, body, this.#headers), answerMillisMax: limits.answerMillisMax }
    return this.#counted(this.#sendAlone(() => request, { name: 'put', isRepeatable: true, signal }))
  }

  #counted<T>(asked: Promise<T>): Promise<T> {
    this.#unanswered += 1
    return asked.finally(() => {
      this.#unanswered -= 1
      if (this.#unanswered === 0) this.#onAnswered()
    })
  }

  /** The stream begins at once: no later call is sent before the service has begun to answer it. */
  follow(operation: RemoteOperation, input: object, { signal }: CallOptions): AsyncIterable<unknown> {
    const call = new OpenCall(operation.name, signal)
    const opened = this.#opened(operation, input, call)
    // The caller learns of a failure when it reads the stream, if it ever does.
    opened.catch(() => this.#end(call))
    this.#opening.add(opened)
    const begun = () => this.#opening.delete(opened)
    this.#batches.hold(opened.then(begun, begun))
    return itemsOf(opened, {
      call,
      end: () => this.#end(call),
      // A stream without end stops when its reader says so. Any other stream was then cut short.
      isEndless: waits(operation.name, input),
      place: this.#service.place,
    })
  }

  /** Answers the calls that are in batches, ends the others, and closes all connections. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort()
    for (const call of this.#underWay) call.close()
    if (this.#unanswered > 0) {
      await new Promise<void>((resolve) => {
        this.#onAnswered = resolve
      })
    }
    await Promise.all([this.#alone.destroy(), this.#batched.destroy()])
  }

  #askInBatch(operation: RemoteOperation, input: object, { trace }: CallOptions): Promise<unknown> {
    let line: string
    try {
      line = lineOf(operation, input, trace)
      if (this.#batches.length >= limits.queueMax) throw tooMany(`${limits.queueMax} calls that wait to be sent`)
    } catch (error) {
      return Promise.reject(error)
    }
    const asked = this.#retried(() => this.#batches.ask(line), {
      isRepeatable: isRepeatable(operation, input),
      signal: this.#closing.signal,
    })
    return asked.catch((error: unknown) => {
      // The answers of a batch may be too long together.
      if (operation.kind !== 'query' || !(error instanceof LockstepError && error.code === 'LIMIT_EXCEEDED'))
        throw error
      return this.#askAlone(operation, input, { trace })
    })
  }

  #askAlone(operation: RemoteOperation, input: object, { signal, trace }: CallOptions): Promise<unknown> {
    const { name } = operation
    const startedAt = performance.now()
    const answerMillisMax = waits(name, input) ? 0 : limits.answerMillisMax
    const request = () => ({
      ...requestOf(operation, withTimeLeft(input, startedAt), { ...this.#headers, ...traceHeaders(trace) }),
      answerMillisMax,
    })
    return this.#sendAlone(request, { name, isRepeatable: isRepeatable(operation, input), signal })
  }

  async #sendAlone(requestNow: () => Request, { isRepeatable, name, signal }: SentAlone): Promise<unknown> {
    const call = new OpenCall(name, signal)
    const send = async () => {
      while (this.#opening.size > 0) await Promise.allSettled(this.#opening)
      const { body } = await this.#exchange({ ...requestNow(), signal: call.signal })
      return parsed(await textOf(body), this.#service.place)
    }
    try {
      this.#begin(call)
      return await this.#retried(send, { isRepeatable, signal: call.signal })
    } catch (error) {
      throw call.explained(error)
    } finally {
      this.#end(call)
    }
  }

  /** The body of a stream, once the service has begun to answer. */
  async #opened(operation: RemoteOperation, input: object, call: OpenCall): Promise<Readable> {
    if (this.#closed !== undefined) throw closedClient('not_applied')
    this.#begin(call)
    const request = requestOf(operation, input, this.#headers)
    const send = () => this.#exchange({ ...request, answerMillisMax: 0, signal: call.signal })
    const { body } = await this.#retried(send, { isRepeatable: isRepeatable(operation, input), signal: call.signal })
    return body
  }

  #begin(call: OpenCall): void {
    if (this.#underWay.size >= limits.openCallsMax) throw tooMany(`${limits.openCallsMax} waiting calls and streams`)
    this.#underWay.add(call)
  }

  #end(call: OpenCall): void {
    call.end()
    this.#underWay.delete(call)
  }

  /** One request with its answer. Errors: also that of a problem document. */
  async #exchange(request: Request): Promise<Answer> {
    const { place } = this.#service
    const answer = await exchange(this.#alone, place, request)
    if (answer.status !== 200) throw errorOf(parsed(await textOf(answer.body), place), place)
    return answer
  }

  #retried<T>(send: () => Promise<T>, how: Retrying): Promise<T> {
    const { revive } = this.#service
    return send().catch((error: unknown) => retried(error, { ...how, revive, send }))
  }
}

/** Opens connections. The path of a socket is asked for each time, because a service may listen at another one. */
function connector({ socket, tls }: Service): buildConnector.connector {
  const options = { ...tls, timeout: limits.connectMillisMax }
  if (socket === undefined) return buildConnector(options)
  return (asked, callback) => {
    const socketPath = socket()
    if (socketPath === undefined) return callback(new Error('there is no socket'), null)
    buildConnector({ ...options, socketPath })(asked, callback)
  }
}

type Retrying = Pick<Retry<unknown>, 'isRepeatable' | 'signal'>

/** A call with a request of its own. */
interface SentAlone {
  isRepeatable: boolean
  name: string
  signal: AbortSignal | undefined
}

function tooMany(what: string): LockstepError {
  return new LockstepError('LEDGER_UNAVAILABLE', `this client already has ${what}`, {
    details: { outcome: 'not_applied' },
  })
}
