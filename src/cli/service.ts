import { type RequestOptions, request } from 'node:http'
import { connect } from 'node:net'
import type { Readable } from 'node:stream'
import type { LedgerHere } from '../api/api.ts'
import { waits } from '../api/call-facts.ts'
import { tilesPath } from '../api/wire.ts'
import { errorOf, type RequestOutcome, unreachable } from '../client/failures.ts'
import { itemsOf } from '../client/items.ts'
import { bytesOf, parsed, textOf } from '../client/lines.ts'
import { OpenCall } from '../client/open-call.ts'
import { isRepeatable, remoteApi } from '../client/remote-api.ts'
import { putOf, requestOf, traceHeaders, withTimeLeft } from '../client/requests.ts'
import { retried } from '../client/retries.ts'
import type { Transport } from '../client/transport.ts'
import { findLayout, governingRoot, layoutOf } from '../disk/layout.ts'
import { socketOf } from '../disk/service-socket.ts'
import type { Actor } from '../kernel/ids.ts'
import { limits } from '../kernel/limits.ts'
import { tilePath } from '../merkle/tiles.ts'
import { traceOfProcess } from './trace.ts'

/** Who calls: a token, and the actor that is named where no token says it. */
export interface ServiceCaller {
  actor: Actor | undefined
  token: string | undefined
}

/** The ledger of the service that governs a folder; undefined if no service answers. Errors: NO_LEDGER. */
export async function serviceAt(dir: string, { actor, token }: ServiceCaller): Promise<LedgerHere | undefined> {
  const layout = findLayout(dir)
  const socket = socketOf(layout)
  if (socket === undefined || !(await doesAnswer(socket))) return undefined
  const transport = transportOver(socket, `the service of ${layout.root}`, token)
  const tile = (path: string) => transport.get(tilesPath(path))
  const tiles: LedgerHere['tiles'] = {
    checkpoint: async () => String(await tile('checkpoint')),
    tile: ({ index, level, width }) => tile(tilePath(level, index, width)),
  }
  return { ...remoteApi(transport, { actor }), dir: layout.root, tiles }
}

/** Whether a service answers for a folder. */
export async function isServed(dir: string): Promise<boolean> {
  const root = governingRoot(dir)
  const socket = root === undefined ? undefined : socketOf(layoutOf(root))
  return socket !== undefined && doesAnswer(socket)
}

/** A command asks several times whether a service answers; within this time the first answer counts. */
const answerMillis = 100
let answered = { at: Number.NEGATIVE_INFINITY, socket: '' }

/** Whether a service listens. A socket without a service is what a killed service leaves. */
async function doesAnswer(socket: string): Promise<boolean> {
  if (answered.socket === socket && performance.now() - answered.at < answerMillis) return true
  const isOpen = await new Promise<boolean>((resolve) => {
    const probe = connect(socket)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
  if (isOpen) answered = { at: performance.now(), socket }
  return isOpen
}

/** One request for each call. Unlike the client's transport, it starts fast and keeps nothing open. */
function transportOver(
  socketPath: string,
  place: string,
  token: string | undefined,
): Transport & { get: (path: string) => Promise<Buffer> } {
  const known = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const headers = { ...known, ...traceHeaders(traceOfProcess()), host: 'localhost' }
  const opened = async (
    { body = '', ...sent }: ReturnType<typeof requestOf>,
    { signal, timeout = 0 }: { signal: AbortSignal; timeout?: number },
  ): Promise<Readable> => {
    const answer = await exchange({ ...sent, socketPath, signal, timeout }, body, place)
    if (answer.statusCode === 200) return answer
    throw errorOf(parsed(await textOf(answer), place), place)
  }
  const sent = async <T>(
    requestNow: () => ReturnType<typeof requestOf>,
    { isRepeatable, name, read, signal, timeout }: Sent<T>,
  ): Promise<T> => {
    const call = new OpenCall(name, signal)
    const send = async () => read(await bodyOf(await opened(requestNow(), { signal: call.signal, timeout }), place))
    try {
      return await send().catch((failure: unknown) => retried(failure, { isRepeatable, send, signal: call.signal }))
    } catch (error) {
      throw call.explained(error)
    } finally {
      call.end()
    }
  }
  const document = (bytes: Buffer) => parsed(String(bytes), place)
  return {
    ask: (operation, input, { signal }) => {
      const { name } = operation
      const startedAt = performance.now()
      const timeout = waits(name, input) ? 0 : limits.answerMillisMax
      const request = () => requestOf(operation, withTimeLeft(input, startedAt), headers)
      return sent(request, { name, isRepeatable: isRepeatable(operation, input), read: document, signal, timeout })
    },
    follow: (operation, input, { signal }) => {
      const call = new OpenCall(operation.name, signal)
      const answer = opened(requestOf(operation, input, headers), { signal: call.signal })
      return itemsOf(answer, { call, end: () => call.end(), isEndless: false, place })
    },
    get: (path) =>
      sent(() => ({ method: 'GET', path, headers }), {
        name: 'get',
        isRepeatable: true,
        read: (bytes) => bytes,
        signal: undefined,
        timeout: limits.answerMillisMax,
      }),
    put: (path, body, { signal }) =>
      sent(() => putOf(path, body, headers), {
        name: 'put',
        isRepeatable: true,
        read: document,
        signal,
        timeout: limits.answerMillisMax,
      }),
  }
}

interface Sent<T> {
  isRepeatable: boolean
  name: string
  read: (bytes: Buffer) => T
  signal: AbortSignal | undefined
  timeout: number
}

/** Errors: LEDGER_UNAVAILABLE, with the outcome `not_applied` if there was no connection. */
function exchange(
  sent: RequestOptions,
  body: string | Uint8Array,
  place: string,
): Promise<Readable & { statusCode?: number | undefined }> {
  return new Promise((resolve, reject) => {
    let outcome: RequestOutcome = 'not_applied'
    // With a server name, Node does not parse the host as an address, which takes longer than the call.
    const options: RequestOptions & { servername: string } = { ...sent, servername: '' }
    const asked = request(options)
    asked.once('socket', (socket) => {
      // A socket that was kept from an earlier call is connected already.
      if (!socket.connecting) outcome = 'unknown'
      else
        socket.once('connect', () => {
          outcome = 'unknown'
        })
    })
    // A service that was stopped still accepts connections, but never answers.
    asked.once('timeout', () => asked.destroy(new Error(`no answer within ${(sent.timeout ?? 0) / 1000} s`)))
    asked.once('response', resolve)
    asked.once('error', (error) => reject(unreachable(place, outcome, error)))
    asked.end(body)
  })
}

async function bodyOf(answer: Readable, place: string): Promise<Buffer> {
  try {
    return await bytesOf(answer)
  } catch (error) {
    throw unreachable(place, 'unknown', error)
  }
}
