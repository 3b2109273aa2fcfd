import type { TileName } from '../merkle/tiles.ts'
import type { AuditApi } from './audit.ts'
import type { ClockApi } from './clock.ts'
import type { ConfigApi } from './config.ts'
import type { ErasuresApi } from './erasures.ts'
import type { ExportsApi } from './exports.ts'
import type { KeysApi } from './keys.ts'
import type { LocksApi } from './locks.ts'
import type { HeadApi, LogApi } from './log.ts'
import type { PolicyApi } from './policy.ts'
import type { RetentionApi } from './retention.ts'
import type { RunsApi } from './runs.ts'
import type { StagingApi } from './staging.ts'
import type { TokensApi } from './tokens.ts'
import type { TurnsApi } from './turns.ts'
import type { WorkspacesApi } from './workspaces.ts'

/**
 * All operations of a ledger, by noun. Every call is asynchronous, and its input and answer are plain data. So a ledger
 * in this process, in another process or in memory is called in the same way.
 */
export interface Api {
  readonly audit: AuditApi
  readonly clock: ClockApi
  readonly config: ConfigApi
  readonly erasures: ErasuresApi
  readonly exports: ExportsApi
  readonly head: HeadApi
  readonly keys: KeysApi
  readonly locks: LocksApi
  readonly log: LogApi
  readonly policy: PolicyApi
  readonly retention: RetentionApi
  readonly runs: RunsApi
  readonly staging: StagingApi
  readonly tokens: TokensApi
  readonly turns: TurnsApi
  readonly workspaces: WorkspacesApi
}

/** The operations of an open ledger. Once `close` was called, every call rejects with LEDGER_CLOSED. */
export interface Ledger extends Api, AsyncDisposable {
  /** Answers pending commands, makes everything durable, and ends. Idempotent. */
  close(): Promise<void>
}

/** The operations of a ledger on this machine: one that is open in this process, or that a service has open. */
export interface LedgerHere extends Api {
  /** The root: the folder that the ledger governs. */
  readonly dir: string
  readonly tiles: Tiles
}

/** The log as C2SP tlog-tiles has it: a checkpoint, and immutable tiles. */
export interface Tiles {
  /** The current tree head as a signed checkpoint. Errors: as for `head.signed`. */
  checkpoint(): Promise<string>
  /** The bytes of a tile or of a bundle of entries. Errors: NOT_FOUND (the log does not fill it yet). */
  tile(name: TileName): Promise<Uint8Array>
}
