import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { LockstepError, messageOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'

/** A small request over HTTP, and how long its whole answer may take. */
export interface SmallRequest {
  body?: string
  headers?: OutgoingHttpHeaders
  method: 'GET' | 'POST' | 'PUT'
  millis: number
}

/** An answer, read whole. */
export interface SmallAnswer {
  status: number
  text: string
  type: string
}

/**
 * Sends a request to another host, and reads its answer up to a limit. Redirects are not followed. Errors: FILE_FAILED
 * if the host cannot be reached, answers too late, or answers too much; INVALID_INPUT for another scheme than HTTP.
 */
export async function sendSmall(url: string, { body, headers, method, millis }: SmallRequest): Promise<SmallAnswer> {
  const at = httpUrl(url)
  const signal = AbortSignal.timeout(millis)
  const send = at.protocol === 'https:' ? secureRequest : request
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
  try {
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = send(at, { agent: false, headers: { ...length, ...headers }, method, signal }, resolve)
      outgoing.on('error', reject)
      outgoing.end(body)
    })
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > limits.witnessBodyBytes) throw new Error(`the answer has more than ${limits.witnessBodyBytes} bytes`)
      chunks.push(chunk)
    }
    const text = Buffer.concat(chunks).toString('utf8')
    return { status: incoming.statusCode ?? 0, text, type: String(incoming.headers['content-type'] ?? '') }
  } catch (cause) {
    const why = signal.aborted ? `no answer within ${millis} ms` : messageOf(cause)
    throw new LockstepError('FILE_FAILED', `${at.host}: ${why}`, { cause })
  }
}

/** Errors: INVALID_INPUT. */
function httpUrl(url: string): URL {
  const at = URL.canParse(url) ? new URL(url) : undefined
  if (at?.protocol === 'http:' || at?.protocol === 'https:') return at
  throw new LockstepError('INVALID_INPUT', `"${url.slice(0, 200)}" is not a URL with http or https`)
}
