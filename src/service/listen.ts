import { X509Certificate } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { chmodSync, existsSync, lstatSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { BlockList, isIP, type ListenOptions } from 'node:net'
import { layoutOf } from '../disk/layout.ts'
import { socketToListenAt } from '../disk/service-socket.ts'
import { connectTo } from '../disk/unix-socket.ts'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import type { Place } from './exchange.ts'
import { invalid, notBegun } from './problem.ts'

/** A certificate and its key as PEM texts. With `client_ca`, callers need a certificate of that authority. */
export interface TlsOptions {
  cert: string
  key: string
  client_ca?: string | undefined
}

export interface TcpOptions {
  host: string
  port: number
  tls?: TlsOptions | undefined
  /** Allows plain HTTP on an address that other machines can reach. */
  insecure?: boolean | undefined
}

/** An open server and its address: the path of a socket, or a URL. */
export interface Listening {
  server: Server
  place: Place
  address: string
  /** Removes what the server leaves on the disk. */
  remove: () => void
}

/** Makes the listener of requests from a place. */
type Listener = (place: Place) => RequestListener

const options: ServerOptions = {
  headersTimeout: limits.headersMillisMax,
  requestTimeout: limits.requestMillisMax,
  keepAliveTimeout: limits.keepAliveMillis,
  connectionsCheckingInterval: 1_000,
  keepAlive: true,
  noDelay: true,
}
const onSocket: Place = { kind: 'socket', isOwnHost: () => true }

/**
 * Listens on the Unix socket of a ledger, for its owner alone. A stale socket is replaced after a connect to it failed.
 * Errors: LEDGER_SERVED (a service answers there), LEDGER_UNAVAILABLE, FILE_FAILED.
 */
export async function listenOnSocket(root: string, listener: Listener): Promise<Listening> {
  const path = socketToListenAt(layoutOf(root))
  const server = createServer(options, listener(onSocket))
  try {
    await listening(server, { path })
  } catch (error) {
    if (systemCodeOf(error) !== 'EADDRINUSE') throw error
    await demandStale(path)
    rmSync(path)
    await listening(server, { path })
  }
  // A path that is too long is cut off without an error, and the socket is then somewhere else.
  if (!existsSync(path)) {
    server.close()
    throw notBegun(`the socket ${path} was not made`, 'Set XDG_RUNTIME_DIR to a folder with a short path.')
  }
  chmodSync(path, 0o600)
  const own = lstatSync(path).ino
  const remove = () => {
    if (lstatSync(path, { throwIfNoEntry: false })?.ino === own) rmSync(path, { force: true })
  }
  return { server, place: onSocket, address: path, remove }
}

async function demandStale(path: string): Promise<void> {
  if (!lstatSync(path).isSocket()) {
    throw new LockstepError('FILE_FAILED', `${path} is not a socket`, { hint: 'Move it away, and start again.' })
  }
  try {
    ;(await connectTo(path)).destroy()
  } catch (error) {
    if (systemCodeOf(error) === 'ECONNREFUSED') return
    throw error
  }
  throw new LockstepError('LEDGER_SERVED', `another service answers at ${path}`, { details: { socket: path } })
}

/**
 * Listens on a TCP port. Errors: INVALID_INPUT (the address can be reached from other machines, and there is neither
 * TLS nor `insecure`), LEDGER_UNAVAILABLE (the address is in use, or not one of this machine).
 */
export async function listenOnTcp(asked: TcpOptions, listener: Listener): Promise<Listening> {
  const { insecure = false, port, tls } = asked
  const found = await lookup(asked.host).catch(() => {
    throw invalid(`the address ${asked.host} was not found`)
  })
  demandPrivate(found, tls !== undefined || insecure)
  const place: Place = { kind: 'tcp', isOwnHost: ownHosts(asked.host, tls) }
  const server = tls === undefined ? createServer(options, listener(place)) : secureServer(tls, listener(place))
  await listening(server, { host: found.address, port }).catch((error: unknown) => {
    throw notBegun(`listening on ${asked.host}:${port} failed (${systemCodeOf(error)})`, 'Choose another address.')
  })
  return { server, place, address: urlOf(server, tls), remove: () => {} }
}

/** Without TLS, only this machine may reach the service, unless that is allowed. */
function demandPrivate({ address }: { address: string }, isAllowed: boolean): void {
  if (isAllowed || loopback.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) return
  throw new LockstepError('INVALID_INPUT', `other machines can reach ${address}, so the service needs TLS there`, {
    hint: 'Give a certificate with --tls-cert and --tls-key, or accept the risk with --insecure.',
  })
}

function secureServer({ cert, client_ca, key }: TlsOptions, listener: RequestListener): Server {
  const ofClients = client_ca === undefined ? {} : { ca: client_ca, requestCert: true, rejectUnauthorized: true }
  try {
    return createTlsServer({ ...options, cert, key, ...ofClients, handshakeTimeout: limits.headersMillisMax }, listener)
  } catch (cause) {
    throw new LockstepError('INVALID_INPUT', 'the certificate and the key do not fit, or are not PEM files', { cause })
  }
}

/** Errors: INVALID_INPUT. */
function certificateOf({ cert }: TlsOptions): X509Certificate {
  try {
    return new X509Certificate(cert)
  } catch (cause) {
    throw new LockstepError('INVALID_INPUT', 'the certificate is not a PEM file', { cause })
  }
}

/**
 * Listens on the sockets that systemd opened, from descriptor 3 on. Empty if there are none. The variables are removed,
 * so that no child takes the sockets for its own. Errors: INVALID_INPUT, as for `listenOnTcp`.
 */
export async function listenOnInherited(listener: Listener, insecure = false): Promise<Listening[]> {
  const { LISTEN_FDS: count, LISTEN_PID: pid } = process.env
  for (const name of ['LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PID']) delete process.env[name]
  if (pid !== String(process.pid) || !/^\d{1,2}$/.test(count ?? '')) return []
  const all: Listening[] = []
  for (let fd = 3; fd < 3 + Number(count); fd += 1) {
    let place = onSocket
    const server = createServer(options, (incoming, outgoing) => listener(place)(incoming, outgoing))
    await listening(server, { fd })
    // The system says what kind of socket it is only once the server has it. No request is read before that.
    const address = server.address()
    const isTcp = typeof address === 'object' && address !== null
    if (isTcp) {
      demandPrivate(address, insecure)
      place = { kind: 'tcp', isOwnHost: ownHosts(address.address) }
    }
    all.push({ server, place, address: isTcp ? urlOf(server) : socketPathOf(fd), remove: () => {} })
  }
  return all
}

/** The path of an inherited Unix socket, which Node does not know. Source: proc(5). */
function socketPathOf(fd: number): string {
  try {
    const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? []
    const line = readFileSync('/proc/net/unix', 'utf8')
      .split('\n')
      .find((line) => line.split(/ +/)[6] === inode)
    return line?.slice(line.indexOf('/')) ?? 'an inherited socket'
  } catch {
    return 'an inherited socket'
  }
}

/**
 * Which Host headers name this service. A web page can make a browser call this machine under the page's own name, but
 * not under a number, `localhost`, the configured name or a name in the certificate.
 */
function ownHosts(host: string, tls?: TlsOptions): (header: string) => boolean {
  const certificate = tls && certificateOf(tls)
  return (header) => {
    const [, bracketed, plain] = /^(?:\[([^\]]+)\]|([^:]+))(?::\d+)?$/.exec(header.toLowerCase()) ?? []
    const name = bracketed ?? plain ?? ''
    return (
      isIP(name) !== 0 ||
      name === 'localhost' ||
      name === host.toLowerCase() ||
      certificate?.checkHost(name) !== undefined
    )
  }
}

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

function listening(server: Server, at: ListenOptions & { fd?: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...at, exclusive: true, backlog: 511 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function urlOf(server: Server, tls?: TlsOptions): string {
  const address = server.address()
  if (typeof address !== 'object' || address === null) return String(address)
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return `${tls === undefined ? 'http' : 'https'}://${host}:${address.port}`
}
