import { join } from 'node:path'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { Client as FirstClient } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as FirstStdio } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport as FirstHttp } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { equal, ok } from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { createLedger } from '../../src/nouns/create.ts'
import { openLedger } from '../../src/open.ts'
import { type ServeOptions, type Service, serve } from '../../src/service/serve.ts'
import { root as project } from '../runner.ts'
import { endsWithVerify, temporaryRoot, testActor } from './ledger.ts'
import { asPlainError } from './scene.ts'

/** The official clients: the first package, and the second in both eras of the protocol. */
export const eras = ['sdk 1', 'client 2 of 2025', 'client 2 of 2026'] as const
export type Era = (typeof eras)[number]

/** Where a server is: a ledger for stdio, or a URL with a token. */
export type Place = { dir: string; env?: Record<string, string> } | { url: string; token: string }

interface Options {
  signal?: AbortSignal
  onprogress?: (progress: { progress: number; total?: number | undefined }) => void
}

/** The part of an official client that the tests use. */
export interface McpClient {
  call: (name: string, args?: object, options?: Options) => Promise<Result>
  /** The structured answer of a call that succeeds. */
  done: <T = Record<string, unknown>>(name: string, args?: object, options?: Options) => Promise<T>
  /** The problem of a call that fails. */
  failed: (name: string, args?: object) => Promise<{ code: string; message: string }>
  tools: () => Promise<Listed[]>
  read: (uri: string) => Promise<unknown>
  pid: number | null
  close: () => Promise<void>
}

export interface Listed {
  name: string
  inputSchema: object
  outputSchema?: object
}

interface Result {
  content: { type: string; text: string }[]
  isError?: boolean
  structuredContent?: Record<string, unknown>
}

export const command = join(project, 'dist/cli/main.js')

/** Connects an official client. It checks structured answers against the schemas of the tools by itself. */
export async function connectClient(era: Era, place: Place): Promise<McpClient> {
  const info = { name: 'test', version: '1.0.0' }
  const stdio =
    'dir' in place
      ? { command: process.execPath, args: [command, 'mcp', '--dir', place.dir], env: environment(place.env) }
      : undefined
  const { token = '', url = 'http://x' } = 'url' in place ? place : {}
  const init = { requestInit: { headers: { authorization: `Bearer ${token}` } } }
  if (era === 'sdk 1') {
    const client = new FirstClient(info)
    const transport = stdio ? new FirstStdio({ ...stdio, stderr: 'ignore' }) : new FirstHttp(new URL(url), init)
    await client.connect(transport as Transport)
    return faceOf(client as unknown as Raw, transport instanceof FirstStdio ? transport.pid : null)
  }
  const pinned = era === 'client 2 of 2026' ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : {}
  const client = new Client(info, pinned)
  const transport = stdio
    ? new StdioClientTransport({ ...stdio, stderr: 'ignore' })
    : new StreamableHTTPClientTransport(new URL(url), init)
  await client.connect(transport)
  return faceOf(client as unknown as Raw, transport instanceof StdioClientTransport ? transport.pid : null)
}

/** Without the variables of Lockstep and of a harness that these tests may run below. */
function environment(more: Record<string, string> = {}): Record<string, string> {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:LOCKSTEP_|CLAUDE)/.test(name))
  return { ...(Object.fromEntries(own) as Record<string, string>), ...more }
}

interface Raw {
  callTool: (params: object, ...rest: unknown[]) => Promise<Result>
  close: () => Promise<void>
  listTools: () => Promise<{ tools: Listed[] }>
  readResource: (params: { uri: string }) => Promise<{ contents: { text: string }[] }>
}

function faceOf(client: Raw, pid: number | null): McpClient {
  // The second argument of the first package is a schema.
  const isFirst = client instanceof FirstClient
  const call = (name: string, args: object = {}, options: Options = {}) =>
    isFirst
      ? client.callTool({ name, arguments: args }, undefined, options)
      : client.callTool({ name, arguments: args }, options)
  return {
    call,
    close: () => client.close(),
    done: async <T>(name: string, args?: object, options?: Options) => {
      const { content, isError, structuredContent } = await call(name, args, options)
      ok(isError !== true, content[0]?.text)
      equal(JSON.parse(content[0]?.text ?? ''), structuredContent)
      return structuredContent as T
    },
    failed: async (name, args) => {
      const { content, isError } = await call(name, args)
      ok(isError === true, content[0]?.text)
      return JSON.parse(content[0]?.text ?? '')
    },
    pid,
    read: async (uri) => JSON.parse((await client.readResource({ uri })).contents[0]?.text ?? ''),
    tools: async () => (await client.listTools()).tools,
  }
}

/** Checks a schema of JSON Schema 2020-12, and a value against it if one is given. */
export function demandValid(schema: object, value?: unknown): void {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true })
  const validate = ajv.compile(schema)
  if (value !== undefined) ok(validate(value), ajv.errorsText(validate.errors))
}

/** The token of the callers over TCP. */
export const token = 'agent'
const agent = { actor_id: 'agent-7', actor_type: 'agent' } as const

/** A ledger that is open here, with its service on the socket and on TCP. */
export interface McpScene {
  dir: string
  ledger: LocalLedger
  service: Service
  placeOf: (over: 'HTTP' | 'stdio', env?: Record<string, string>) => Place
  /** Closes both, and verifies the ledger. */
  close: () => Promise<void>
}

/** A new ledger, whose configuration offers every tool, and its service. */
export async function openMcp(options: ServeOptions = {}): Promise<McpScene> {
  const dir = temporaryRoot()
  await createLedger({ dir, actor: testActor, config: { mcp: { turn_apply: true } }, policy: true })
  const ledger = await openLedger({ dir, actor: testActor })
  const authenticate = async (text: string) =>
    text === token
      ? { actor: agent, grants: new Set(['agent'] as const), roles: new Set(['agent']), token_id: 'tok_1' }
      : undefined
  const listen = { host: '127.0.0.1', port: 0 }
  const service = await serve(ledger, { authenticate, listen, log: false, ...options })
  return {
    dir,
    ledger,
    service,
    placeOf: (over, env = {}) => (over === 'stdio' ? { dir, env } : { url: `${service.url}/mcp`, token }),
    close: async () => {
      await service.close()
      await ledger.close()
      await endsWithVerify(dir)
    },
  }
}

/** The same for the time of some work. */
export async function withMcp(work: (scene: McpScene) => Promise<void>, options: ServeOptions = {}): Promise<void> {
  const scene = await openMcp(options)
  try {
    await work(scene).catch(asPlainError)
  } finally {
    await scene.close()
  }
}
