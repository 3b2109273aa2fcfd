import { mediaTypes, type Problem } from '../api/wire.ts'
import { codes, LockstepError } from '../errors.ts'
import { codedError } from '../writer/coded-errors.ts'

/** An error as a problem document. A thrown value without a code is a defect. Source: RFC 9457. */
export function problemOf(thrown: unknown, requestId: string): Problem {
  const { code, details, hint, message, retryable } = codedError(thrown, 'serving a request')
  const { meaning, status } = codes[code]
  const errors = code === 'INVALID_INPUT' ? issuesOf(details.issues) : undefined
  return {
    type: `urn:lockstep:error:${code}`,
    title: meaning,
    status,
    detail: message,
    code,
    retryable,
    ...(hint === undefined ? {} : { hint }),
    details,
    ...(errors === undefined ? {} : { errors }),
    request_id: requestId,
  }
}

/** The headers that belong to a problem. `Retry-After` is in seconds. */
export function headersOf({ code, details, retryable }: Problem): Record<string, string> {
  const seconds = Math.max(1, Math.ceil(Number(details.retry_after_s ?? 1)) || 1)
  return {
    ...(retryable ? { 'Retry-After': String(seconds) } : {}),
    ...(code === 'UNAUTHENTICATED' ? { 'WWW-Authenticate': 'Bearer realm="lockstep"' } : {}),
    ...(typeof details.location === 'string' ? { Location: details.location } : {}),
    ...(Array.isArray(details.allow) ? { Allow: details.allow.join(', ') } : {}),
  }
}

function issuesOf(issues: unknown): { path: string; message: string }[] | undefined {
  if (!Array.isArray(issues)) return undefined
  return issues.map(({ path, message }) => ({ path: String(path), message: String(message) }))
}

/** INVALID_INPUT with a message. */
export function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_INPUT', message)
}

/** LEDGER_UNAVAILABLE for a request that was not begun. */
export function notBegun(message: string, hint: string): LockstepError {
  return new LockstepError('LEDGER_UNAVAILABLE', message, { details: { outcome: 'not_applied' }, hint })
}

/** The answer to a request that the framework could not read, such as one with an invalid Host header. */
export function unreadable(error: unknown): Response {
  const isRequests = error instanceof Error && error.name === 'RequestError'
  const problem = problemOf(isRequests ? invalid(`the request is not valid: ${error.message}`) : error, 'unread')
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'Content-Type': mediaTypes.problem, ...headersOf(problem) },
  })
}

/** The error of a request that the server of Node refused with a code, before a route could. */
export function unparsed(code: string | undefined): LockstepError {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new LockstepError('REQUEST_TIMEOUT', 'the request did not arrive completely in time', {
        details: { outcome: 'not_applied' },
      })
    case 'HPE_HEADER_OVERFLOW':
      return new LockstepError('LIMIT_EXCEEDED', 'the headers are too long')
    default:
      return invalid('the request is not valid HTTP/1.1')
  }
}

/** The bytes of an answer to a request that no exchange has. The connection is closed after it. */
export function bytesOf(error: LockstepError): string {
  const problem = problemOf(error, 'unread')
  const text = JSON.stringify(problem)
  const headers = {
    'Content-Type': mediaTypes.problem,
    'Content-Length': Buffer.byteLength(text),
    ...headersOf(problem),
    Connection: 'close',
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${problem.status} ${problem.code}\r\n${lines.join('')}\r\n${text}`
}
