import { once } from 'node:events'
import { Agent, type IncomingMessage, type RequestOptions, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { connect } from 'node:net'
import { equal, is, ok } from 'uvu/assert'
import type { Problem } from '../../src/api/wire.ts'
import { codes } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import type { OpenLedgerOptions } from '../../src/open.ts'
import { type ServeOptions, type Service, serve } from '../../src/service/serve.ts'
import { withLedger } from './ledger.ts'

/** Where a service listens: the path of its socket, or its URL. */
export type At = string

export interface Asked {
  method?: string
  body?: string | Uint8Array | undefined
  headers?: Record<string, string>
  agent?: Agent
  signal?: AbortSignal
  /** Options of node:https, such as the certificate to trust. */
  tls?: object
}

export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  text: string
}

/** Sends one request by node:http alone, and reads the whole answer. */
export async function ask(at: At, path: string, asked: Asked = {}): Promise<Answer> {
  const incoming = await begin(at, path, asked)
  let text = ''
  for await (const chunk of incoming.setEncoding('utf8')) text += chunk
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text }
}

/** Sends one request, and resolves when the head of its answer is there. */
export async function begin(at: At, path: string, { body, tls, ...asked }: Asked = {}): Promise<IncomingMessage> {
  const { agent = false, method = body === undefined ? 'GET' : 'POST', signal } = asked
  const isChunked = body === undefined || asked.headers?.['transfer-encoding'] !== undefined
  const headers = { ...(isChunked ? {} : { 'content-length': String(Buffer.byteLength(body)) }), ...asked.headers }
  const options: RequestOptions = { agent, headers, method, path, ...(signal === undefined ? {} : { signal }), ...tls }
  const place = at.startsWith('/') ? { socketPath: at } : placeOf(at)
  const send = at.startsWith('https:') ? secureRequest : request
  const outgoing = send({ ...options, ...place })
  outgoing.on('error', () => {})
  outgoing.end(body)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  return incoming
}

function placeOf(url: string): RequestOptions {
  const { hostname, port } = new URL(url)
  return { host: hostname, port }
}

/** Makes a call with a JSON body. */
export function post(at: At, path: string, input: unknown, asked: Asked = {}): Promise<Answer> {
  const headers = { 'content-type': 'application/json', ...asked.headers }
  return ask(at, path, { ...asked, method: 'POST', body: JSON.stringify(input), headers })
}

/** Makes a call that succeeds, and returns its answer. */
export async function posted<T = Record<string, unknown>>(at: At, path: string, input: unknown, asked: Asked = {}) {
  const { status, text } = await post(at, path, input, asked)
  is(status, 200, text)
  return JSON.parse(text) as T
}

/** Sends raw bytes on a connection, and returns what comes back until it is closed. */
export async function raw(at: At, bytes: string | Uint8Array): Promise<string> {
  const socket = at.startsWith('/') ? connect(at) : connect(Number(new URL(at).port), new URL(at).hostname)
  socket.on('error', () => {})
  socket.write(bytes)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
    // What is complete is enough; the service may keep the connection open.
    if (/\r\n\r\n\{.*\}$/s.test(text)) socket.end()
  })
  socket.setTimeout(5_000, () => socket.destroy())
  await once(socket, 'close')
  return text
}

/** Checks that an answer is a problem document with a code, and returns it. */
export function problemIn({ headers, status, text }: Answer, code?: string): Problem {
  is(headers['content-type'], 'application/problem+json', text)
  const problem = JSON.parse(text) as Problem
  ok(Object.hasOwn(codes, problem.code), text)
  if (code !== undefined) is(problem.code, code, text)
  is(problem.type, `urn:lockstep:error:${problem.code}`)
  is(problem.title, codes[problem.code].meaning)
  is(problem.status, codes[problem.code].status)
  is(status, problem.status)
  is(typeof problem.detail, 'string')
  is(problem.retryable, codes[problem.code].retryable)
  equal(headers['retry-after'] !== undefined, problem.retryable)
  is(typeof problem.details, 'object')
  ok(problem.request_id.length > 0)
  return problem
}

/** The lines of JSON Lines. */
export function linesIn(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** A new ledger and its service for the time of the work; then both are closed, and the ledger is verified. */
export function withService<T>(
  work: (service: Service, ledger: LocalLedger) => Promise<T>,
  { ledger: opened, ...options }: ServeOptions & { ledger?: Omit<OpenLedgerOptions, 'create' | 'dir'> } = {},
): Promise<T> {
  return withLedger(async (ledger) => {
    const service = await serve(ledger, { log: false, ...options })
    try {
      return await work(service, ledger)
    } finally {
      await service.close()
    }
  }, opened)
}

/** An agent that keeps a few connections open. Close it when the test ends. */
export function keepAlive(connections = 8): Agent {
  return new Agent({ keepAlive: true, maxSockets: connections })
}

/** Resolves once a condition holds. Rejects after a limited time. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, millisMax = 20_000): Promise<void> {
  const end = performance.now() + millisMax
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${millisMax} ms`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
