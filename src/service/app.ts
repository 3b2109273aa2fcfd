import { readFileSync } from 'node:fs'
import type { HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { type Context, Hono } from 'hono'
import { objectGrants } from '../api/operation.ts'
import type { Operation } from '../api/operations.ts'
import { mediaTypes, objectPath, pathOf, paths, tilesPath } from '../api/wire.ts'
import { LockstepError } from '../errors.ts'
import { commandHandler, queryHandler } from './asked.ts'
import { answerBatch, batchOf } from './batch.ts'
import { demandOwnHost, whileValid } from './caller.ts'
import { operationsByName } from './calls.ts'
import type { Exchange } from './exchange.ts'
import type { Ground, Handler } from './ground.ts'
import { hookRoutes } from './hooks.ts'
import { demandNoBody, inputOfQuery, parametersOf } from './input.ts'
import { sendObject, takeObject } from './objects.ts'
import { invalid, notBegun } from './problem.ts'
import { sendStream } from './streams.ts'
import { grantsOfTiles, sendTile } from './tiles.ts'

/** The description of the routes. `npm run contract` makes it from the tables. */
const openApiFile = new URL('../../contract/v1/openapi.json', import.meta.url)

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
    const { calls, callerOf, forward } = ground
    const caller = await callerOf(exchange)
    calls.admit(caller, `${method} ${paths.objects}`, objectGrants[method])
    if (parametersOf(exchange.url).length > 0) throw invalid('an object takes no parameters')
    if (method === 'GET') demandNoBody(exchange)
    await forward.answer(exchange, {
      caller,
      body: () => (method === 'PUT' ? exchange.incoming : undefined),
      // Nothing is left to tell.
      here: () => answer(exchange, exchange.url.slice(objectPath('').length), ground.ledger).then(() => () => {}),
      isRepeatable: method === 'GET',
    })
  }
}

async function tilesHandler(exchange: Exchange, ground: Ground): Promise<void> {
  const caller = await ground.callerOf(exchange)
  ground.calls.admit(caller, `GET ${paths.tiles}`, grantsOfTiles(exchange.url))
  demandNoBody(exchange)
  await ground.forward.read(exchange, {
    caller,
    here: async () => {
      await ground.ledger.follow()
      await sendTile(exchange, ground.ledger)
      return () => {}
    },
  })
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

async function batchHandler(exchange: Exchange, { callerOf, calls, forward, metrics }: Ground): Promise<void> {
  const caller = await callerOf(exchange)
  const batch = await batchOf(exchange, forward.isShared)
  await forward.answer(exchange, {
    caller,
    body: () => batch.body,
    here: () => answerBatch(exchange, { batch, calls, caller, counted: (name, status) => metrics.count(name, status) }),
    isRepeatable: batch.isRepeatable,
    pids: batch.pids,
  })
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

function isAborted(error: unknown): boolean {
  return error instanceof LockstepError && error.code === 'ABORTED'
}

function toldToRetry(): LockstepError {
  return notBegun('the service closes, so the call no longer waits', 'Retry with the same lock_id.')
}
