import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { limits } from '../kernel/limits.ts'
import type { Witness, WitnessAnswer } from '../witness/witness.ts'
import { type Listening, listenOnTcp, type TcpOptions } from './listen.ts'
import { type Log, logOf } from './log.ts'

/** A running witness. */
export interface WitnessService {
  readonly url: string
  /** Takes no more requests, answers those in progress, and closes all connections. Takes at most about two seconds. */
  close(): Promise<void>
}

/**
 * Serves a witness on TCP: `POST /add-checkpoint` cosigns, and `GET /<SHA-256 of the origin>/checkpoint` shows what was
 * cosigned last for a log (C2SP tlog-witness, tlog-mirror). Callers need no token, because a checkpoint carries the
 * signature of its log. Errors: as for `listenOnTcp`.
 */
export async function serveWitness(
  witness: Witness,
  { listen, log = logOf(true) }: { listen: TcpOptions; log?: Log },
): Promise<WitnessService> {
  const running = new WitnessRequests(witness, log)
  const listening = await listenOnTcp(listen, () => running.listener)
  listening.server.maxConnections = limits.witnessConnectionsMax
  log.info({ url: listening.address, witness: witness.name }, 'witnessing')
  return { url: listening.address, close: () => running.close(listening) }
}

/** The requests of a witness. Its states: open, and closing, in which new requests are refused. */
class WitnessRequests {
  readonly #witness: Witness
  readonly #log: Log
  readonly #inProgress = new Set<Promise<void>>()
  #isClosing = false

  constructor(witness: Witness, log: Log) {
    this.#witness = witness
    this.#log = log
  }

  readonly listener: RequestListener = (incoming, outgoing) => {
    if (this.#isClosing || this.#inProgress.size >= limits.witnessRequestsMax) {
      incoming.resume()
      send(outgoing, { ...plain(503, 'the witness cannot take the request now'), retryAfterSeconds: 1 })
      return
    }
    const work = this.#serve(incoming, outgoing).finally(() => this.#inProgress.delete(work))
    this.#inProgress.add(work)
  }

  async close({ server }: Listening): Promise<void> {
    this.#isClosing = true
    const ended = new Promise((resolve) => server.close(resolve))
    server.closeIdleConnections()
    const drained = Promise.all(this.#inProgress)
    let timer: NodeJS.Timeout | undefined
    const enough = new Promise((resolve) => {
      timer = setTimeout(resolve, limits.drainMillisMax)
    })
    await Promise.race([drained, enough])
    clearTimeout(timer)
    server.closeAllConnections()
    await ended
    // A head that is being written is finished first, so that nothing is cosigned behind the caller's back.
    await drained
    this.#log.info('closed')
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const startedAt = performance.now()
    const route = `${incoming.method} ${(incoming.url ?? '').slice(0, 100)}`
    const logged = (answer: WitnessAnswer) => ({
      route,
      status: answer.status,
      ...(answer.size === undefined ? {} : { size: answer.size }),
      ms: Math.round(performance.now() - startedAt),
    })
    try {
      const answer = await this.#answer(incoming)
      if (answer === undefined) return
      if (answer.status === 200) this.#log.info(logged(answer), 'request')
      else this.#log.warn({ ...logged(answer), reason: answer.body.trim().slice(0, 200) }, 'refused')
      send(outgoing, this.#isClosing ? { ...answer, isLast: true } : answer)
    } catch (error) {
      const answer = plain(500, 'the witness failed')
      this.#log.error({ ...logged(answer), err: error }, 'request failed')
      send(outgoing, answer)
    }
  }

  /** Undefined if the caller went away before its request was complete. */
  async #answer(incoming: IncomingMessage): Promise<WitnessAnswer | undefined> {
    const { method, url = '' } = incoming
    const log = /^\/([0-9a-f]{64})\/checkpoint$/.exec(url)?.[1]
    if (log !== undefined && (method === 'GET' || method === 'HEAD')) {
      const note = await this.#witness.checkpointOf(log)
      return note === undefined
        ? plain(404, 'this witness cosigned nothing for this log')
        : { ...plain(200, ''), body: note }
    }
    if (url !== '/add-checkpoint') return plain(404, 'there is no such route')
    if (method !== 'POST') return plain(405, 'add-checkpoint takes POST')
    const body = await bodyOf(incoming)
    if (body === 'cut off') return undefined
    return body === 'too long' ? plain(413, 'the request is too long') : this.#witness.addCheckpoint(body.text)
  }
}

/** The body of a request. Of a body that is too long, no more is read. */
async function bodyOf(incoming: IncomingMessage): Promise<{ text: string } | 'cut off' | 'too long'> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    // Ending the iteration must not destroy the connection, which still carries the answer.
    for await (const chunk of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > limits.witnessBodyBytes) return 'too long'
      chunks.push(chunk)
    }
  } catch {
    return 'cut off'
  }
  return { text: Buffer.concat(chunks).toString('utf8') }
}

function plain(status: number, reason: string): WitnessAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${reason}\n` }
}

function send(
  outgoing: ServerResponse,
  {
    body,
    isLast = false,
    retryAfterSeconds,
    status,
    type,
  }: WitnessAnswer & { isLast?: boolean; retryAfterSeconds?: number },
): void {
  if (outgoing.headersSent || outgoing.destroyed) return
  outgoing.writeHead(status, {
    'Cache-Control': 'no-store',
    'Content-Length': Buffer.byteLength(body),
    'Content-Type': type,
    'X-Content-Type-Options': 'nosniff',
    ...(isLast || status === 413 ? { Connection: 'close' } : {}),
    ...(retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) }),
  })
  outgoing.end(body)
}
