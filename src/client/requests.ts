import { mediaTypes, wireLimits } from '../api/wire.ts'
import { LockstepError, messageOf } from '../errors.ts'
import type { TraceContext } from '../kernel/trace.ts'
import type { Request } from './exchange.ts'
import type { RemoteOperation } from './transport.ts'

/** A call as a line of a batch. Errors: INVALID_INPUT (JSON cannot carry it), LIMIT_EXCEEDED. */
export function lineOf({ name }: RemoteOperation, input: object, trace: TraceContext | undefined): string {
  const traced = trace === undefined ? '' : `,"trace":${textOf(name, trace)}`
  const line = `{"call":"${name}","input":${textOf(name, input)}${traced}}`
  if (Buffer.byteLength(line) < wireLimits.batchBytes) return line
  throw new LockstepError('LIMIT_EXCEEDED', `${name}: the input has more than ${wireLimits.batchBytes} bytes`, {
    details: { outcome: 'not_applied' },
  })
}

/** A call as a request of its own. Errors: INVALID_INPUT. */
export function requestOf(
  { kind, name, path }: RemoteOperation,
  input: object,
  headers: Record<string, string>,
): Pick<Request, 'body' | 'headers' | 'method' | 'path'> {
  const accept = kind === 'stream' ? mediaTypes.lines : mediaTypes.json
  if (kind !== 'command') {
    return { method: 'GET', path: withParameters(path, name, input), headers: { ...headers, accept } }
  }
  const body = textOf(name, input)
  return { method: 'POST', path, headers: { ...headers, accept, 'content-type': mediaTypes.json }, body }
}

/** The headers of a call that belongs to a trace. */
export function traceHeaders(trace: TraceContext | undefined): Record<string, string> {
  if (trace === undefined) return {}
  const { traceparent, tracestate } = trace
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

/** Puts JSON Lines at a path. */
export function putOf(
  path: string,
  body: Uint8Array,
  headers: Record<string, string>,
): Pick<Request, 'body' | 'headers' | 'method' | 'path'> {
  return {
    method: 'PUT',
    path,
    headers: { ...headers, accept: mediaTypes.json, 'content-type': mediaTypes.lines },
    body,
  }
}

/** The input of a call that is made again: a wait is shorter by the time that has passed. */
export function withTimeLeft(input: object, startedAt: number): object {
  const passed = Math.floor((performance.now() - startedAt) / 1000)
  if (passed === 0 || !('wait_s' in input)) return input
  return { ...input, wait_s: Math.max(1, Number(input.wait_s) - passed) }
}

/** Strings are sent as they are, and everything else as JSON: the service knows the type of each member. */
function withParameters(path: string, name: string, input: object): string {
  const given = Object.entries(input).filter(([, value]) => value !== undefined)
  const words = given.map(([member, value]) => {
    const text = typeof value === 'string' ? value : textOf(name, value)
    return sendable(name, () => `${encodeURIComponent(member)}=${encodeURIComponent(text)}`)
  })
  return words.length === 0 ? path : `${path}?${words.join('&')}`
}

function textOf(name: string, value: unknown): string {
  return sendable(name, () => JSON.stringify(value))
}

/** INVALID_INPUT for what has no JSON, such as a cycle, and for text that is not Unicode in a URL. */
function sendable(name: string, text: () => string): string {
  try {
    return text()
  } catch (cause) {
    const message = `${name}: the input cannot be sent: ${messageOf(cause)}`
    throw new LockstepError('INVALID_INPUT', message, { details: { outcome: 'not_applied' }, cause })
  }
}
