import type { Authenticate } from './caller.ts'
import type { ForwardOptions } from './forward.ts'
import type { TcpOptions } from './listen.ts'

export interface ServeOptions {
  /** Also listen on TCP. There every call needs a token. */
  listen?: TcpOptions | undefined
  /** Finds out who bears a token. Default: the tokens of the ledger. */
  authenticate?: Authenticate | undefined
  /** Whether callers on the socket name their actor, or need a token too. Default: the ledger's configuration. */
  socket_auth?: 'actor' | 'token' | undefined
  /** Logs as JSON on stderr. Default: true. */
  log?: boolean | undefined
  /** The calls that each actor may make in a second. */
  calls_per_second?: number | undefined
  /** How often expired leases of locks and runs are ended, in seconds. */
  sweep_s?: number | undefined
  /** Called when no request came for this many seconds. */
  idle?: { after_s: number; ended: () => void } | undefined
  /** How this node forwards commands, if several nodes share the ledger. */
  forward?: (ForwardOptions & { url?: string | undefined }) | undefined
}

/** A running service. It does not close the ledger. */
export interface Service {
  /** The path of the socket, or else the URL. */
  readonly address: string
  readonly socket: string | undefined
  readonly url: string | undefined
  /**
   * Ends the service: it takes no more requests, tells waiting callers to retry, answers the requests in progress, and
   * closes all connections. Idempotent. Takes at most about two seconds.
   */
  close(): Promise<void>
}
