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

/** What the reactors offer the ledger: they take word of new entries, and say how far they are. */
export interface Reactions {
  published(entries: readonly Entry[]): void
  cursors(): Cursors
  drained(): Promise<'current' | 'pending'>
}

/** What a ledger is put together from. */
export interface LedgerParts {
  actor: Actor
  /** Of a snapshot alone: what is to be done once its log is closed. */
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

/** A snapshot writes no files. */
export const noReactions = (): Reactions => ({
  published: () => {},
  cursors: () => ({}),
  drained: () => Promise.resolve('current'),
})

/** Errors: INVALID_INPUT. */
export function refuseOnSnapshot(): Promise<never> {
  return Promise.reject(new LockstepError('INVALID_INPUT', 'a snapshot of the ledger takes no commands'))
}
