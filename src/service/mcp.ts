import { pipeline } from 'node:stream/promises'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { nanoid } from 'nanoid'
import type { Api } from '../api/api.ts'
import { kinds } from '../api/kinds.ts'
import { anyGrant } from '../api/operation.ts'
import type { Operation } from '../api/operations.ts'
import { mediaTypes, paths, wireLimits } from '../api/wire.ts'
import { parsedJson } from '../kernel/json.ts'
import type { LocalLedger } from '../ledger.ts'
import { Places } from '../mcp/places.ts'
import { mcpServer } from '../mcp/server.ts'
import type { Caller } from './caller.ts'
import { type Calls, operationsByName } from './calls.ts'
import type { Exchange } from './exchange.ts'
import { bodyOf } from './input.ts'

/** What the route of MCP needs of the service. */
interface McpGround {
  begin: (exchange: Exchange, kind: 'waiting') => void
  calls: Calls
  ledger: LocalLedger
}

/** A message of JSON-RPC, as far as the route looks into it. */
interface Message {
  id?: unknown
  method?: unknown
  params?: { arguments?: { wait_s?: unknown }; requestId?: unknown }
}

/**
 * MCP over HTTP: each request is served alone, for both eras of the protocol. A client of 2026 cancels a call by closing
 * its request. One of 2025 posts another message, which finds the call by the session id that `initialize` gave out; the
 * id serves nothing else, so no session is kept.
 */
export class Mcp {
  readonly #ground: McpGround
  readonly #places = new Places()
  readonly #waiting = new Map<string, AbortController>()

  constructor(ground: McpGround) {
    this.#ground = ground
  }

  /** Answers one request. Errors: FORBIDDEN, RATE_LIMITED, INVALID_INPUT, those of reading a body. */
  async answer(exchange: Exchange, caller: Caller): Promise<void> {
    this.#ground.calls.admit(caller, `POST ${paths.mcp}`, anyGrant)
    const body = parsedJson(await bodyOf(exchange, mediaTypes.json, wireLimits.bodyBytes), 'the body')
    const messages = (Array.isArray(body) ? body : [body]).map((message) => Object(message) as Message)
    const session = exchange.header('mcp-session-id')
    for (const { method, params } of messages) {
      if (method === 'notifications/cancelled') this.#waiting.get(callKey(session, params?.requestId))?.abort()
    }
    const waiting = messages.filter(({ params }) => Number(params?.arguments?.wait_s) > 0)
    if (waiting.length > 0) this.#ground.begin(exchange, 'waiting')
    const ending = new AbortController()
    const signal = AbortSignal.any([exchange.signal({ untilDrain: true }), ending.signal])
    // Without a session, the ids of different clients are alike.
    const own = session === undefined ? [] : waiting.map(({ id }) => callKey(session, id))
    for (const key of own) this.#waiting.set(key, ending)
    try {
      const isFirst = messages.some(({ method }) => method === 'initialize')
      await send(exchange, await this.#served({ body, caller, exchange, signal }), isFirst)
    } finally {
      for (const key of own) this.#waiting.delete(key)
    }
  }

  /** The service closes: all lines are left. */
  close(): void {
    this.#places.close()
  }

  #served({ body, caller, exchange, signal }: Served): Promise<Response> {
    const { ledger } = this.#ground
    const session = () => ({
      api: this.#apiFor(caller, exchange),
      forget: () => {},
      fromHere: (path: string) => path,
      holder: caller.actor?.actor_id ?? 'mcp',
      keep: () => {},
      pids: [],
      places: this.#places,
    })
    const factory = () => mcpServer({ hasTurns: ledger.settings.mcp.turn_apply, session, signal })
    return createMcpHandler(factory, { maxSubscriptions: 0 }).fetch(requestOf(exchange, signal), { parsedBody: body })
  }

  /** The operations as the caller may call them. */
  #apiFor(caller: Caller, { trace }: Exchange): Api {
    const { calls } = this.#ground
    const ask =
      (operation: Operation) =>
      async (input: object = {}, options: { signal?: AbortSignal } = {}) => {
        const asked = calls.prepared(operation, { caller, input })
        return calls.ask(operation, asked, { caller, trace, ...options })
      }
    const nouns = Object.entries(kinds).map(([noun, verbs]) => {
      const methods = Object.keys(verbs).map((verb) => {
        return [verb, ask(operationsByName.get(`${noun}.${verb}`) as Operation)]
      })
      return [noun, Object.fromEntries(methods)]
    })
    return Object.fromEntries(nouns) as Api
  }
}

interface Served {
  body: unknown
  caller: Caller
  exchange: Exchange
  signal: AbortSignal
}

const callKey = (session: string | undefined, id: unknown) => JSON.stringify([session, id])

/** The request without its body, which was read, and without the token of its caller. */
function requestOf({ incoming, url }: Exchange, signal: AbortSignal): Request {
  const headers = new Headers()
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (typeof value === 'string' && name !== 'authorization') headers.set(name, value)
  }
  return new Request(new URL(url, 'http://localhost'), { method: 'POST', headers, signal })
}

async function send(exchange: Exchange, { body, headers, status }: Response, isFirst: boolean): Promise<void> {
  const type = headers.get('content-type') ?? mediaTypes.json
  const more: Record<string, string> = isFirst && status === 200 ? { 'Mcp-Session-Id': nanoid() } : {}
  if (type !== mediaTypes.events) {
    const text = body === null ? '' : await new Response(body).text()
    return exchange.send(status, type, text, more)
  }
  exchange.begin(type, more)
  if (body !== null) await pipeline(body, exchange.outgoing)
}
