import type { HttpBindings } from '@hono/node-server'
import type { Hooks } from '../hooks/hooks.ts'
import type { LocalLedger } from '../ledger.ts'
import type { Caller } from './caller.ts'
import type { Calls } from './calls.ts'
import type { Exchange } from './exchange.ts'
import type { Forward } from './forward.ts'
import type { Metrics } from './metrics.ts'

/** What the routes need of the service. */
export interface Ground {
  calls: Calls
  callerOf: (exchange: Exchange) => Caller | Promise<Caller>
  exchangeOf: (bindings: HttpBindings) => Exchange
  /** Brings what the writer has to answer to it. */
  forward: Forward
  hooks: Hooks
  /** The ledger that answers now. */
  ledger: LocalLedger
  mcp: (exchange: Exchange) => Promise<void>
  metrics: Metrics
  /** Counts a call apart from short requests. Errors: LEDGER_UNAVAILABLE (too many). */
  begin: (exchange: Exchange, kind: 'events' | 'lines' | 'waiting') => void
  /** Whether the service takes commands, and the figures that tell so. */
  readiness: () => Promise<{ ready: boolean }>
}

/** Answers the requests of a route. */
export type Handler = (exchange: Exchange, ground: Ground) => void | Promise<void>
