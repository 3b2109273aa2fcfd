import type { Api } from './api/api.ts'
import { remoteApi } from './client/remote-api.ts'
import { startService } from './client/start-service.ts'
import { type Service, type TlsOptions, UndiciTransport } from './client/undici-transport.ts'
import { findLayout } from './disk/layout.ts'
import { socketOf } from './disk/service-socket.ts'
import { LockstepError } from './errors.ts'
import type { Actor } from './kernel/ids.ts'

export type { Api } from './api/api.ts'
export type { CallOptions } from './api/operation.ts'
export type { TlsOptions } from './client/undici-transport.ts'
export { type Code, codes, LockstepError } from './errors.ts'
export type { Actor } from './kernel/ids.ts'
export { type HoldRequest, hold, type Lease, type LeaseOptions, lease } from './lease.ts'

/** Which service to use. At most one of `dir`, `socket` and `url`. */
export interface ConnectOptions {
  /** A folder at or below the root. The service of the innermost ledger is used. Default: the working directory. */
  dir?: string | undefined
  /** The path of the service's Unix socket. */
  socket?: string | undefined
  /** The address of a service that listens on TCP, such as `https://ledger.example:7420`. */
  url?: string | undefined
  /** The token of the caller. TCP requires one. */
  token?: string | undefined
  /** The default actor of every call. Default: the actor of the token, or else the default actor of the service. */
  actor?: Actor | undefined
  /** With `url`: certificates in PEM. */
  tls?: TlsOptions | undefined
  /** With `dir`: start the service in the background whenever no service answers. Default: false. */
  start?: boolean | undefined
}

/** The operations of a ledger that a service has open. Once `close` was called, every call rejects with LEDGER_CLOSED. */
export interface Client extends Api, AsyncDisposable {
  /**
   * Answers the calls that are under way, ends streams, calls that wait and calls with a signal, and closes all
   * connections. Idempotent.
   */
  close(): Promise<void>
}

/**
 * Connects to the service of a ledger. Errors: LEDGER_UNAVAILABLE (no service answers), NO_LEDGER, NOT_FOUND,
 * FILE_DENIED, INVALID_INPUT (unknown options, or options that exclude each other).
 */
export async function connect(options: ConnectOptions = {}): Promise<Client> {
  const { actor, dir: _dir, socket: _socket, start = false, tls, token, url: _url, ...unknown } = options
  const [stranger] = Object.keys(unknown)
  if (stranger !== undefined) throw invalid(`there is no option ${stranger}`)
  const { root, ...target } = targetOf(options)
  if (start && root === undefined) throw invalid('only the service of a folder can be started: leave `start` out')
  const transport = new UndiciTransport({ ...target, tls, token, revive: start ? () => revive() : undefined })
  let reviving: Promise<void> | undefined
  const revive = () => {
    reviving ??= transport
      .reach()
      .catch(() => startService(root ?? '', () => transport.reach().then(isTrue, isFalse)))
      .finally(() => {
        reviving = undefined
      })
    return reviving
  }
  try {
    await (start ? revive() : transport.reach())
  } catch (error) {
    await transport.close()
    throw error
  }
  const close = () => transport.close()
  return { ...remoteApi(transport, { actor }), close, [Symbol.asyncDispose]: close }
}

const isTrue = () => true
const isFalse = () => false

interface Target extends Pick<Service, 'origin' | 'place' | 'socket'> {
  /** The root of a ledger on this machine. */
  root?: string
}

function targetOf({ dir, socket, tls, url }: ConnectOptions): Target {
  if ([dir, socket, url].filter((place) => place !== undefined).length > 1) {
    throw invalid('`dir`, `socket` and `url` exclude each other')
  }
  if (url !== undefined) {
    const { origin, protocol } = URL.canParse(url) ? new URL(url) : { origin: '', protocol: '' }
    if (!['http:', 'https:'].includes(protocol)) throw invalid(`${url} is no URL of http or https`)
    return { origin, place: `the service at ${origin}` }
  }
  if (tls !== undefined) throw invalid('`tls` needs a `url`')
  if (socket !== undefined) return { origin: local, place: `the service at ${socket}`, socket: () => socket }
  const layout = findLayout(dir ?? process.cwd())
  return { origin: local, place: `the service of ${layout.root}`, root: layout.root, socket: () => socketOf(layout) }
}

/** What the Host header says to a service on a Unix socket. */
const local = 'http://localhost'

function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `connect: ${message}`)
}
