import type { Now } from '../core/clock.ts'
import type { Config } from '../core/config.ts'
import type { Entry } from '../core/entry.ts'
import type { Actor } from '../core/ids.ts'
import { LockstepError } from '../errors.ts'
import type { Layout } from '../fs/layout.ts'
import type { Cursors } from '../log/head-row.ts'
import type { Log } from '../log/log.ts'
import type { Locks } from './locks.ts'
import type { Staging } from './staging.ts'
import type { WorkspaceFiles } from './workspace-files.ts'

/** The reactors as the ledger uses them: they are told of new entries and report their cursors. */
export interface Reactions {
  published(entries: readonly Entry[]): void
  cursors(): Cursors
  drained(): Promise<'current' | 'pending'>
}

/** The parts from which a ledger is built. */
export interface LedgerParts {
  actor: Actor
  /** Only for a snapshot: called after its log is closed. */
  closed?: () => Promise<void>
  config: Config
  layout: Layout
  log: Log
  newLockId: () => string
  newRunId: () => string
  now: () => Now
  reactions: (ledger: { locks: Locks; staging: Staging }) => Reactions
  workspaceFiles: WorkspaceFiles
}

/** The reactors of a snapshot: it writes no files. */
export const noReactions = (): Reactions => ({
  published: () => {},
  cursors: () => ({}),
  drained: () => Promise.resolve('current'),
})

/** Errors: INVALID_INPUT. */
export function refuseOnSnapshot(): Promise<never> {
  return Promise.reject(new LockstepError('INVALID_INPUT', 'a snapshot of the ledger is read-only'))
}
