import type { AuditApi } from './audit.ts'
import type { ClockApi } from './clock.ts'
import type { ConfigApi } from './config.ts'
import type { ErasuresApi } from './erasures.ts'
import type { ExportsApi } from './exports.ts'
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

/** The operations of a ledger on this machine: one that is open in this process, or that a service has open. */
export interface LedgerHere extends Api {
  /** The root: the folder that the ledger governs. */
  readonly dir: string
}
