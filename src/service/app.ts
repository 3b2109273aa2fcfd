import { readFileSync } from 'node:fs'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { objectGrants } from '../api/operation.ts'
import type { Operation } from '../api/operations.ts'
import { mediaTypes, objectPath, pathOf, paths, tilesPath, wireLimits } from '../api/wire.ts'
import { LockstepError } from '../errors.ts'
import type { Hooks } from '../hooks/hooks.ts'
import { parsedJson } from '../kernel/json.ts'
import type { LocalLedger } from '../ledger.ts'
import { answerBatch } from './batch.ts'
import { type Caller, demandOwnHost, whileValid } from './caller.ts'
import { type Calls, operationsByName } from './calls.ts'
import type { Exchange } from './exchange.ts'
import { hookRoutes } from './hooks.ts'
import { bodyOf, inputOfQuery, keyOf, parametersOf } from './input.ts'
import type { Metrics } from './metrics.ts'
import { sendObject, takeObject } from './objects.ts'
import { invalid, notBegun } from './problem.ts'
import { sendStream } from './streams.ts'
import { grantsOfTiles, sendTile } from './tiles.ts'

/** What the routes need of the service. */
export interface Ground {
  calls: Calls
  callerOf: (exchange: Exchange) => Caller | Promise<Caller>
  exchangeOf: (bindings: HttpBindings) => Exchange
  hooks: Hooks
  ledger: LocalLedger
  mcp: (exchange: Exchange) => Promise<void>
  metrics: Metrics
  /** Counts a call apart from short requests. Errors: LEDGER_UNAVAILABLE (too many). */
  begin: (exchange: Exchange, kind: 'events' | 'lines' | 'waiting') => void
  /** Whether the service takes commands, and the figures that tell so. */
  readiness: () => Promise<{ ready: boolean }>
}

/** The description of the routes. `npm run contract` makes it from the tables. */
const openApiFile = new URL('../../contract/v1/openapi.json', import.meta.url)

type Handler = (exchange: Exchange, ground: Ground) => void | Promise<void>
type Method = 'GET' | 'POST' | 'PUT'
type Bindings = { Bindings: HttpBindings }

/**
 * The routes of the service: one for each operation of the tables, and those that are not operations. Each handler
 * sends its own answer, so the framework never writes one.
 */
export function appOf(ground: Ground): Hono<Bindings> {
  const app = new Hono<Bindings>()
  const methods = new Map<string, Method[]>()
  const answered = async (context: Context<Bindings>, handler: Handler): Promise<Response> => {
    const exchange = ground.exchangeOf(context.env)
    try {
      demandOwnHost(exchange)
      await handler(exchange, ground)
    } catch (error) {
      if (exchange.isDraining && exchange.kind === 'waiting' && isAborted(error)) exchange.sendProblem(toldToRetry())
      else exchange.sendProblem(error)
    }
    return RESPONSE_ALREADY_SENT
  }
  const route = (method: Method, path: string, handler: Handler, name = path) => {
    methods.set(path, [...(methods.get(path) ?? []), method])
    app.on(method, path, (context) => {
      ground.exchangeOf(context.env).route = name
      return answered(context, handler)
    })
  }
  for (const operation of operationsByName.values()) {
    const { facts, name, noun, verb } = operation
    const [method, handler] = handlersByKind[facts.kind]
    route(method, pathOf(noun, verb), handler(operation), name)
  }
  for (const [method, path, handler] of others) route(method, path, handler)
  app.notFound((context) =>
    answered(context, () => {
      const { path } = context.req
      const open = [anyObject, anyTile].find((route) => path.startsWith(route.replace(/[:*].*/, '')))
      throw refusalOf(path, context.env.incoming.method ?? '', methods.get(open ?? path))
    }),
  )
  app.onError((error, context) =>
    answered(context, () => {
      throw error
    }),
  )
  return app
}

/** The error of a route that does not exist, or does not have the method. */
function refusalOf(path: string, asked: string, methods: readonly Method[] | undefined): LockstepError {
  if (methods === undefined) {
    return new LockstepError('NOT_FOUND', `there is no route ${path.slice(0, 200)}`, {
      hint: `${paths.openApi} describes all routes.`,
    })
  }
  const allow = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
  return new LockstepError('METHOD_NOT_ALLOWED', `${path} takes ${allow.join(' or ')}, not ${asked}`, {
    details: { allow },
  })
}

const handlersByKind: Readonly<Record<Operation['facts']['kind'], [Method, (operation: Operation) => Handler]>> = {
  command: ['POST', commandHandler],
  query: ['GET', queryHandler],
  stream: ['GET', streamHandler],
}

const anyObject = objectPath(':digest')
const anyTile = tilesPath('*')

const others: readonly (readonly [Method, string, Handler])[] = [
  ['GET', anyObject, objectHandler('GET', sendObject)],
  ['PUT', anyObject, objectHandler('PUT', takeObject)],
  ['GET', anyTile, tilesHandler],
  ['POST', paths.batch, batchHandler],
  ...hookRoutes,
  ['GET', paths.events, eventsHandler],
  ['POST', paths.mcp, (exchange, { mcp }) => mcp(exchange)],
  ['GET', paths.live, (exchange) => exchange.sendJson({ live: true })],
  ['GET', paths.ready, readyHandler],
  ['GET', paths.metrics, metricsHandler],
  ['GET', paths.openApi, openApiHandler],
]

function objectHandler(method: 'GET' | 'PUT', answer: typeof sendObject): Handler {
  return async (exchange, ground) => {
    const { calls, callerOf, ledger } = ground
    calls.admit(await callerOf(exchange), `${method} ${paths.objects}`, objectGrants[method])
    if (parametersOf(exchange.url).length > 0) throw invalid('an object takes no parameters')
    if (method === 'GET') demandNoBody(exchange)
    await answer(exchange, exchange.url.slice(objectPath('').length), ledger)
  }
}

async function tilesHandler(exchange: Exchange, { callerOf, calls, ledger }: Ground): Promise<void> {
  calls.admit(await callerOf(exchange), `GET ${paths.tiles}`, grantsOfTiles(exchange.url))
  demandNoBody(exchange)
  await sendTile(exchange, ledger)
}

function commandHandler(operation: Operation): Handler {
  return async (exchange, ground) => {
    const key = keyOf(exchange)
    if (parametersOf(exchange.url).length > 0) throw invalid('a command takes its input from the body, not the URL')
    const caller = await ground.callerOf(exchange)
    const text = await bodyOf(exchange, mediaTypes.json, wireLimits.bodyBytes)
    const input = ground.calls.prepared(operation, {
      caller,
      input: text === '' ? {} : parsedJson(text, 'the body'),
      key,
    })
    await answerCall(exchange, ground, operation, { caller, input })
  }
}

function queryHandler(operation: Operation): Handler {
  return async (exchange, ground) => {
    const caller = await ground.callerOf(exchange)
    demandNoBody(exchange)
    const input = ground.calls.prepared(operation, { caller, input: inputOfQuery(operation.facts, exchange.url) })
    await answerCall(exchange, ground, operation, { caller, input })
  }
}

async function answerCall(
  exchange: Exchange,
  ground: Ground,
  operation: Operation,
  { caller, input }: { caller: Caller; input: object },
): Promise<void> {
  if (ground.calls.waits(operation, input)) {
    ground.begin(exchange, 'waiting')
    const signal = exchange.signal({ untilDrain: true })
    exchange.sendJson(await ground.calls.ask(operation, input, { caller, signal, trace: exchange.trace }))
  } else {
    exchange.sendJson(await ground.calls.ask(operation, input, { caller, trace: exchange.trace }))
  }
}

function streamHandler(operation: Operation): Handler {
  return async (exchange, ground) => {
    const caller = await ground.callerOf(exchange)
    demandNoBody(exchange)
    const input = ground.calls.prepared(operation, { caller, input: inputOfQuery(operation.facts, exchange.url) })
    const type = exchange.header('accept')?.includes(mediaTypes.events) ? 'events' : 'lines'
    const isEndless = ground.calls.waits(operation, input)
    ground.begin(exchange, type)
    await sendStream(exchange, {
      isEndless,
      items: (signal) => whileValid(caller, ground.calls.follow(operation, input, signal)),
      type,
    })
  }
}

/** The events of the log from a seq on. A reader that was cut off names the last event that it has. */
async function eventsHandler(exchange: Exchange, ground: Ground): Promise<void> {
  const caller = await ground.callerOf(exchange)
  demandNoBody(exchange)
  const operation = operationsByName.get('log.subscribe') as Operation
  const lastId = exchange.header('last-event-id')
  if (lastId !== undefined && !/^\d{1,15}$/.test(lastId)) throw invalid('the header Last-Event-ID must be a seq')
  const query = inputOfQuery(operation.facts, exchange.url)
  const asked = lastId === undefined ? query : { ...query, from: Number(lastId) + 1 }
  if (!('from' in asked)) throw invalid('from: the first seq is required, or the header Last-Event-ID')
  const input = ground.calls.prepared(operation, { caller, input: asked })
  ground.begin(exchange, 'events')
  await sendStream(exchange, {
    isEndless: true,
    items: (signal) => whileValid(caller, ground.calls.follow(operation, input, signal)),
    type: 'events',
  })
}

async function batchHandler(exchange: Exchange, { callerOf, calls, metrics }: Ground): Promise<void> {
  await answerBatch(exchange, await callerOf(exchange), calls, (name, status) => metrics.count(name, status))
}

async function readyHandler(exchange: Exchange, { readiness }: Ground): Promise<void> {
  const report = await readiness()
  exchange.send(report.ready ? 200 : 503, mediaTypes.json, JSON.stringify(report))
}

async function metricsHandler(exchange: Exchange, { callerOf, metrics }: Ground): Promise<void> {
  await callerOf(exchange)
  exchange.send(200, 'text/plain; version=0.0.4; charset=utf-8', await metrics.text())
}

async function openApiHandler(exchange: Exchange, { callerOf }: Ground): Promise<void> {
  await callerOf(exchange)
  exchange.send(200, mediaTypes.json, readFileSync(openApiFile, 'utf8'))
}

/** Errors: INVALID_INPUT. A body would be ignored, and its sender would not know. */
function demandNoBody(exchange: Exchange): void {
  const length = exchange.header('content-length') ?? '0'
  if (length === '0' && exchange.header('transfer-encoding') === undefined) return
  throw invalid('a query takes its input from the parameters of the URL, not from a body')
}

function isAborted(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'ABORTED'
}

function toldToRetry(): LockstepError {
  return notBegun('the service closes, so the call no longer waits', 'Retry with the same lock_id.')
}
