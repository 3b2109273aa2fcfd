import type { Layout } from '../disk/layout.ts'
import { type Details, LockstepError } from '../errors.ts'
import type { WorkspaceFiles } from '../files/workspace/workspace-files.ts'
import type { Now } from '../kernel/clock.ts'
import type { Entry } from '../kernel/entry.ts'
import type { RecordedActor } from '../kernel/ids.ts'
import type { Cursors, Log } from '../log/log.ts'
import type { ConfigInForce } from '../writer/config-in-force.ts'
import type { Core } from '../writer/core.ts'
import type { SharedTime } from '../writer/shared-time.ts'
import type { Deliverables } from './locks/deliverables.ts'
import type { SealWatch } from './seal.ts'

/** The reactors as the ledger uses them: they are told of new entries and report their cursors. */
export interface Reactions {
  published(entries: readonly Entry[]): void
  cursors(): Cursors
  drained(): Promise<'current' | 'pending'>
}

/** The parts from which a ledger is built. */
export interface LedgerParts {
  actor: RecordedActor
  /** A snapshot takes no commands. */
  isSnapshot?: boolean
  config: ConfigInForce
  /** The facts about the proof that the ledger has two histories, if there is any. */
  forked: () => Details | undefined
  layout: Layout
  log: Log
  newLockId: () => string
  newRunId: () => string
  now: () => Now
  /** The time of a ledger that several machines share. */
  sharedTime?: SharedTime | undefined
  reactions: (core: Core, deliverables: Deliverables) => Reactions
  /** Whether the ledger goes on in another place. It is then open for reading. */
  seal: SealWatch
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
