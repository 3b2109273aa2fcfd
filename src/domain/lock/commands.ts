import type { LeaseClock } from '../../kernel/clock.ts'
import type { Command } from '../../kernel/decider.ts'
import type { finalStatuses, RecoveryReason } from './events.ts'
import type { Evidence } from './liveness.ts'
import type { PathsAsked } from './paths/path.ts'

// The input of decisions: the intent, and the facts that were gathered before the command was queued.

/** A probe found the holder of the current grant dead. Ignored once another grant is current. */
export interface Death {
  token: number
  reason: RecoveryReason
}

/** The copy of a file that was moved out of the way: its path below the root, and its SHA-256. */
export interface KeptFile {
  aside: string
  digest: string
}

/** A lock file without a current grant, which was set aside as an orphan. `kept` is set if its bytes are kept. */
export interface FileOrphan {
  kept?: KeptFile | undefined
  previous_acquired: string | null
  previous_holder: string
  recovery_reason: RecoveryReason
}

/** The lock file that this acquisition has put into place. The lease begins at the time in the file. */
export interface Claim {
  acquired: string
  deliverable_id: string
  folder: string
  lease_clock: LeaseClock
}

export interface ProjectFacts {
  lock_reason: string
  release_conditions: string[]
  run_id: string
  target_name: string
  source?: 'import'
  lock_time?: string
}

/** The paths of an acquisition, in normal form and in order, with what was seen of the holders that are in the way. */
export interface PathsWanted extends PathsAsked {
  holders: readonly HolderSeen[]
  worktree?: string | undefined
}

/** Whether the holder of a grant was alive before the command was queued, and why not. */
export interface HolderSeen {
  alive: 'no' | 'unknown' | 'yes'
  reason?: RecoveryReason | undefined
  token: number
}

export interface Acquire extends Command {
  type: 'lock.acquire'
  name: string
  holder: string
  lock_ref: string
  lease_duration_s: number | null
  evidence: readonly Evidence[]
  holder_alive?: 'yes' | 'unknown'
  death?: Death | undefined
  claim?: Claim | undefined
  file_orphan?: FileOrphan | undefined
  paths?: PathsWanted | undefined
  project?: ProjectFacts | undefined
  reason?: string | undefined
}

export interface AcquireAll extends Command {
  type: 'lock.acquire_all'
  locks: readonly Acquire[]
}

export interface Renew extends Command {
  type: 'lock.renew'
  /** The lock that this actor was granted under the lock_id; null if the ledger has no such grant. */
  name: string | null
  lock_ref: string
  /** For a deliverable: the content of its rewritten file. */
  claim?: Pick<Claim, 'acquired' | 'lease_clock'> | undefined
}

export interface Release extends Command {
  type: 'lock.release'
  /** Null if the ledger has no grant under this lock_id. */
  name: string | null
  lock_ref: string
  outcome: 'failure' | 'success'
}

export interface ReleaseProject extends Command {
  type: 'lock.release_project'
  name: string | null
  run_id: string
  final_status: (typeof finalStatuses)[number]
  override: boolean
  reason?: string | undefined
  /** The release authority takes over a file that somebody edited to say RELEASED. */
  from_file?: boolean
}

export interface Recover extends Command {
  type: 'lock.recover'
  name: string
  reason: string
  holder_alive?: 'yes' | 'unknown'
  /** For a path: what was seen of its holders. */
  holders?: readonly HolderSeen[] | undefined
  death?: Death | undefined
  file_orphan?: FileOrphan | undefined
}

export interface Break extends Command {
  type: 'lock.break'
  name: string
  reason: string
  /** The lock file of another tool that was moved out of the way: no grant ends, only the file goes. */
  file?: (KeptFile & { content: string; path: string }) | undefined
}

export interface Retire extends Command {
  type: 'lock.retire'
  name: string
  folder: string
  reason: string | null
  holder_alive?: 'yes' | 'unknown'
  death?: Death | undefined
}

/** Findings from steps on files that must be recorded in the log. */
export interface ReportFile extends Command {
  type: 'lock.report_file'
  name: string
  report:
    | { fact: 'lost'; lock_ref: string; found: string }
    | { fact: 'restored'; lock_ref: string; token: number; folder: string }
    | { fact: 'judged'; token: number }
    | { fact: 'conflict'; aside: string; aside_content: string; found_content: string }
    | { fact: 'set_aside'; aside: string; content: string; path: string; reason: string }
}

export type LockCommand =
  | Acquire
  | AcquireAll
  | Renew
  | Release
  | ReleaseProject
  | Recover
  | Break
  | Retire
  | ReportFile
