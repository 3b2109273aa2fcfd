import type { Api } from '../api/api.ts'
import type { Grant } from '../api/shapes/locks.ts'
import type { Places } from './places.ts'

/** Whom the tools act for, and how they reach the ledger. */
export interface Session {
  api: Api
  /** A path of the caller, as the ledger is asked for it. A `/` at its end stays. */
  fromHere: (path: string) => string
  /** Who holds the locks, as others see it. */
  holder: string
  /** Called with each grant, whose lease the session may then keep. */
  keep: (grant: Pick<Grant, 'lease_duration_s' | 'lock_id'>) => void
  /** Called when a lock is released or lost. */
  forget: (lock_id: string) => void
  /** The process that works under the locks, if it is on the machine of the ledger. */
  pids: number[]
  places: Places
}

/** One call of a tool. */
export interface Call {
  /** Aborts when the client cancels the call or is gone. */
  signal: AbortSignal
  /** Tells the client how long the call has waited. */
  progress: (seconds: number, ofSeconds: number) => void
}
