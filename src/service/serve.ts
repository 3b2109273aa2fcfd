import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { getRequestListener } from '@hono/node-server'
import { systemCodeOf } from '../errors.ts'
import { Hooks } from '../hooks/hooks.ts'
import { limits } from '../kernel/limits.ts'
import type { LocalLedger } from '../ledger.ts'
import type { SharedLedger } from '../shared.ts'
import { appOf } from './app.ts'
import { callerOf } from './caller.ts'
import { Calls } from './calls.ts'
import { Duties, noDuties } from './duties.ts'
import type { Exchange, Place } from './exchange.ts'
import { Forward } from './forward.ts'
import type { Ground } from './ground.ts'
import { InProgress } from './in-progress.ts'
import { type Listening, listenOnInherited, listenOnSocket, listenOnTcp, type TcpOptions } from './listen.ts'
import { type Log, logOf } from './log.ts'
import type { Mcp } from './mcp.ts'
import { Metrics } from './metrics.ts'
import { Node } from './node.ts'
import type { ServeOptions, Service } from './options.ts'
import { bytesOf, invalid, notBegun, unparsed, unreadable } from './problem.ts'
import { Rates } from './rates.ts'

export type { ServeOptions, Service } from './options.ts'

/**
 * Serves an open ledger on its Unix socket, on TCP if asked, or on the sockets that systemd opened. Errors: LEDGER_SERVED,
 * LEDGER_UNAVAILABLE, INVALID_INPUT.
 */
export async function serve(ledger: LocalLedger, options: ServeOptions = {}): Promise<Service> {
  const service = new HttpService(ledger, options)
  await service.listen(options.listen)
  return service
}

/**
 * Serves a ledger that several nodes share: this process answers reads, and decides commands while it has the seat of the
 * writer; otherwise it forwards them. `close` gives the seat back, and does not close the shared ledger. Errors: those of
 * `serve`.
 */
export async function serveNode(shared: SharedLedger, options: ServeOptions = {}): Promise<Service> {
  const service = new HttpService(shared.follower, { forward: {}, ...options })
  await service.listen(options.listen)
  await service.share(shared)
  return service
}

/**
 * The service. Its states: starting, open, draining, closed. While it drains, it answers what it accepted and refuses
 * new requests on open connections.
 */
class HttpService implements Service {
  /** The ledger that answers now. In a node it changes with the writer. */
  #ledger: LocalLedger
  readonly #options: ServeOptions
  readonly #log: Log
  readonly #metrics: Metrics
  readonly #forward: Forward
  readonly #ground: Ground
  #duties: Duties | undefined
  #node: Node | undefined
  readonly #handle: ReturnType<typeof getRequestListener>
  readonly #inProgress = new InProgress((exchange) => this.#ended(exchange))
  #listening: Listening[] = []
  #mcp: Promise<Mcp> | undefined
  #idleTimer: NodeJS.Timeout | undefined
  #closed: Promise<void> | undefined

  constructor(ledger: LocalLedger, options: ServeOptions) {
    this.#ledger = ledger
    this.#options = options
    this.#log = logOf(options.log ?? true)
    this.#forward = new Forward(options.forward)
    const tally = () => this.#ledger.tally
    this.#metrics = new Metrics(() => this.#figures(), tally)
    const authenticate = options.authenticate ?? ((token: string) => this.#ledger.authenticate(token))
    const demandsToken = () => (options.socket_auth ?? this.#ledger.settings.socket_auth) === 'token'
    const ground: Ground = {
      begin: (exchange, kind) => this.#inProgress.move(exchange, kind),
      callerOf: (exchange) => callerOf(exchange, { authenticate, demandsToken: demandsToken() }),
      calls: new Calls(() => this.#ledger, new Rates(options.calls_per_second)),
      exchangeOf: ({ outgoing }) => this.#inProgress.of(outgoing as ServerResponse),
      forward: this.#forward,
      hooks: new Hooks(ledger),
      ledger,
      mcp: async (exchange) => {
        const caller = await ground.callerOf(exchange)
        // Most services never serve MCP, and its modules take time to load.
        this.#mcp ??= import('./mcp.ts').then(({ Mcp }) => new Mcp(ground))
        await (await this.#mcp).answer(exchange, caller)
      },
      metrics: this.#metrics,
      readiness: () => this.#readiness(),
    }
    this.#ground = ground
    const app = appOf(ground)
    // The framework's own Request and Response stay out of the globals of this process.
    const settings = { hostname: 'lockstep', overrideGlobalObjects: false, errorHandler: unreadable }
    this.#handle = getRequestListener(app.fetch, settings)
  }

  async listen(tcp: TcpOptions | undefined): Promise<void> {
    const listener = (place: Place) => this.#listener(place)
    try {
      this.#listening = await listenOnInherited(listener, tcp?.insecure)
      if (!this.#listening.some(({ place }) => place.kind === 'socket')) {
        this.#listening.push(await listenOnSocket(this.#ledger.dir, listener))
      }
      if (tcp !== undefined) this.#listening.push(await listenOnTcp(tcp, listener))
    } catch (error) {
      await this.close()
      throw error
    }
    for (const { place, server } of this.#listening) {
      server.on('clientError', (error, socket) => this.#unparsed(error, socket))
      server.on('checkExpectation', (incoming, outgoing) => {
        this.#accept(incoming, outgoing, place).sendProblem(invalid('the header Expect can only be 100-continue'))
      })
    }
    this.#takeDuties()
    this.#restIdle()
    this.#log.info({ socket: this.socket, url: this.url }, 'serving')
  }

  /** Takes part in a ledger that several nodes share. Called once, after `listen`. */
  async share(shared: SharedLedger): Promise<void> {
    const serve = (ledger: LocalLedger) => this.#serve(ledger)
    const url = this.#options.forward?.url ?? this.url
    this.#node = await Node.start({ forward: this.#forward, log: this.#log, serve, shared, url })
  }

  /** Answers from another ledger from now on. Streams end, and their readers go on where they were. */
  async #serve(ledger: LocalLedger): Promise<void> {
    await this.#duties?.stop()
    this.#ledger = ledger
    Object.assign(this.#ground, { hooks: new Hooks(ledger), ledger })
    this.#inProgress.endStreams()
    this.#takeDuties()
  }

  #takeDuties(): void {
    this.#duties = this.#ledger.isSnapshot ? undefined : new Duties(this.#ledger, this.#log, this.#options.sweep_s)
    this.#metrics.observe(this.#ledger.tally)
  }

  get socket(): string | undefined {
    return this.#listening.find(({ place }) => place.kind === 'socket')?.address
  }

  get url(): string | undefined {
    return this.#listening.find(({ place }) => place.kind === 'tcp')?.address
  }

  get address(): string {
    return this.socket ?? this.url ?? ''
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#log.info({ requests: this.#inProgress.size }, 'closing')
    clearTimeout(this.#idleTimer)
    ;(await this.#mcp)?.close()
    const ended = this.#listening.map(({ server }) => new Promise((resolve) => server.close(resolve)))
    await this.#inProgress.drain()
    // Connections without a request, and those whose client does not read its answer.
    for (const { server } of this.#listening) server.closeAllConnections()
    await Promise.all(ended)
    await this.#duties?.stop()
    await this.#node?.close()
    await this.#forward.close()
    for (const { remove } of this.#listening) remove()
  }

  #listener(place: Place): RequestListener {
    return (incoming, outgoing) => {
      const exchange = this.#accept(incoming, outgoing, place)
      if (this.#closed !== undefined) {
        exchange.drain()
        exchange.sendProblem(notBegun('the service is closing', 'Repeat the request when it runs again.'))
      } else if (this.#inProgress.counts.requests > limits.requestsMax) {
        exchange.sendProblem(notBegun('too many requests are in progress', 'Repeat the request a little later.'))
      } else void this.#handle(incoming, outgoing)
    }
  }

  #accept(incoming: IncomingMessage, outgoing: ServerResponse, place: Place): Exchange {
    clearTimeout(this.#idleTimer)
    return this.#inProgress.accept(incoming, outgoing, place)
  }

  #ended(exchange: Exchange): void {
    const { id, outgoing, route } = exchange
    this.#metrics.count(route, outgoing.statusCode)
    const logged = { id, route, status: outgoing.statusCode, ms: exchange.millis() }
    if (exchange.defect !== undefined) this.#log.error({ ...logged, err: exchange.defect }, 'request failed')
    else this.#log.debug(logged, 'request')
    if (this.#inProgress.size === 0 && this.#closed === undefined) this.#restIdle()
  }

  #restIdle(): void {
    const { idle } = this.#options
    if (idle === undefined) return
    clearTimeout(this.#idleTimer)
    this.#idleTimer = setTimeout(idle.ended, idle.after_s * 1000)
  }

  /** Answers what could not be parsed as HTTP, and ends its connection. */
  #unparsed(error: Error, socket: Duplex): void {
    const code = systemCodeOf(error)
    if (!socket.writable || code === 'ECONNRESET') {
      socket.destroy()
      return
    }
    const exchange = this.#inProgress.on(socket)
    if (exchange !== undefined) {
      // What follows a request cannot be read. The request still gets its answer, unless its own body is meant.
      exchange.outgoing.shouldKeepAlive = false
      exchange.outgoing.once('close', () => socket.destroy())
      if (!exchange.incoming.complete) exchange.sendProblem(unparsed(code))
      return
    }
    socket.end(bytesOf(unparsed(code)))
  }

  async #readiness() {
    const figures = await this.#figures()
    const is_draining = this.#closed !== undefined
    const ready = figures.is_writable && !figures.is_forked && !is_draining && this.#forward.isReady
    return { ready, is_draining, ...figures }
  }

  async #figures() {
    const { events, lines, requests, waiting } = this.#inProgress.counts
    return {
      ...(await this.#ledger.figures()),
      ...(this.#duties?.figures ?? noDuties),
      is_writer: this.#forward.isHere,
      requests_in_flight: requests,
      sse_clients: events,
      streams: events + lines,
      waiting_requests: waiting,
    }
  }
}
