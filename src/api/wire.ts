import type { Code, Details } from '../errors.ts'
import type { TraceContext } from '../kernel/trace.ts'

/**
 * What the service and its callers agree on besides the tables of operations. This module imports nothing at run time,
 * so it does not slow down a short-lived command.
 */
export const mediaTypes = {
  json: 'application/json',
  lines: 'application/x-ndjson',
  events: 'text/event-stream',
  problem: 'application/problem+json',
  note: 'text/plain; charset=utf-8',
  bytes: 'application/octet-stream',
  /** What a hook prints: a JSON document, or nothing. */
  hook: 'application/vnd.lockstep.hook+json',
} as const

/** The routes that are not operations. */
export const paths = {
  batch: '/v1/batch',
  events: '/v1/events',
  mcp: '/mcp',
  objects: '/v1/objects/{digest}',
  tiles: '/tiles/{path}',
  hooks: '/v1/hooks/{harness}',
  live: '/livez',
  ready: '/readyz',
  metrics: '/metrics',
  openApi: '/openapi.json',
} as const

/** The most calls in one batch, and the most bytes in the body of a call and of a batch. */
export const wireLimits = {
  batchLinesMax: 256,
  bodyBytes: 2 * 1024 * 1024,
  batchBytes: 16 * 1024 * 1024,
} as const

/** The route of an object, by its SHA-256 in hex. */
export function objectPath(digest: string): string {
  return paths.objects.replace('{digest}', digest)
}

/** The route of the checkpoint, or of a tile by its path in C2SP tlog-tiles. */
export function tilesPath(path: string): string {
  return paths.tiles.replace('{path}', path)
}

/** The route of the hooks of a harness. */
export function hooksPath(harness: string): string {
  return paths.hooks.replace('{harness}', harness)
}

/** The route of an operation: `pathOf('locks', 'acquireAll')` is `/v1/locks/acquire-all`. */
export function pathOf(noun: string, verb: string): string {
  return `/v1/${noun}/${verb.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

/** An error as the service sends it: a problem document of RFC 9457, of media type `application/problem+json`. */
export interface Problem {
  /** `urn:lockstep:error:<CODE>`. */
  type: string
  /** The meaning of the code. */
  title: string
  /** The HTTP status of the code. */
  status: number
  /** The error's message. */
  detail: string
  code: Code
  /** Whether the same request may succeed later. */
  retryable: boolean
  hint?: string
  details: Details
  /** The invalid members of the input, if the code is INVALID_INPUT. */
  errors?: readonly { path: string; message: string }[]
  request_id: string
}

/** One line of the body of `POST /v1/batch`. */
export interface BatchCall {
  /** `noun.verb`. */
  call: string
  input?: unknown
  /** The trace of this call, if it differs from that of the request. */
  trace?: TraceContext | undefined
}

/** One line of the answer to `POST /v1/batch`. */
export type BatchAnswer = { status: 200; answer: unknown } | { status: number; problem: Problem }

/** The last line of a stream of JSON Lines. A stream without such a line was cut off. */
export type StreamEnd = { end: true } | { problem: Problem }
