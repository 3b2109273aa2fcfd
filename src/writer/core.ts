import { hash } from 'node:crypto'
import type { Layout } from '../disk/layout.ts'
import type { LedgerCommand } from '../domain/aggregates.ts'
import type { WorkspaceFiles } from '../files/workspace/workspace-files.ts'
import { canonicalText, type Json } from '../kernel/canonical.ts'
import type { Now } from '../kernel/clock.ts'
import type { Config } from '../kernel/config.ts'
import { hashRequest as hashOf } from '../kernel/digest.ts'
import type { RecordedActor } from '../kernel/ids.ts'
import type { Log } from '../log/log.ts'
import type { Receipts } from '../views/receipts.ts'
import type { SearchIndex } from '../views/search-index.ts'
import type { Views } from '../views/views.ts'
import type { StoredObjects } from './stored-objects.ts'
import type { Line, Outcome, Submission } from './submission.ts'
import type { Waiters } from './waiters.ts'

/** The open ledger as the parts of the API share it. */
export interface Core {
  actor: RecordedActor
  /** The configuration in force, by the published entries. */
  readonly config: Config
  /** Must be awaited before `log.index` is searched. */
  index: SearchIndex
  layout: Layout
  log: Log
  now: () => Now
  receipts: Receipts
  stored: StoredObjects
  /** Proposals that callers of a service put before they stage them. */
  uploads: {
    forget(): Promise<void>
    stage<T>(digest: string, work: (chunks: AsyncIterable<Uint8Array>) => Promise<T>): Promise<T>
  }
  workspaceFiles: WorkspaceFiles
  views: Views
  submit: (submission: Submission) => Promise<Outcome>
  waiters: Waiters
  poke: (stream: string) => void
  newLockId: () => string
  newRunId: () => string
  /**
   * Resolves when the files of all published entries are written (`current`), or a file could not be written
   * (`pending`).
   */
  filesDrained: () => Promise<'current' | 'pending'>
  /** Removes what is left of erased texts in files; `pending` if a reader still keeps some of them. */
  purge: () => Promise<'current' | 'pending'>
}

/** Options of any command. */
export interface SubmitOptions {
  actor?: RecordedActor | undefined
  correlationId?: string | undefined
  expectedSize?: number | undefined
  line?: Line | undefined
  notes?: readonly number[] | undefined
  calledFrom?: Line | undefined
  request?: { key: string; content: Json } | undefined
}

/** Submits a command for the caller, or for another actor on whose behalf the caller acts. */
export function submit(core: Core, command: LedgerCommand, options: SubmitOptions = {}): Promise<Outcome> {
  const { actor = core.actor, calledFrom, correlationId, expectedSize, line, notes, request } = options
  const hashed = request && { key: request.key, sha256: sha256Hex(canonicalText(request.content)) }
  return core.submit({ command, actor, correlationId, expectedSize, request: hashed, line, notes, calledFrom })
}

/** The first 16 hex digits of the SHA-256 of a lock_id. They may be shown; the lock_id may not. */
export function lockRefOf(lockId: string): string {
  return sha256Hex(lockId).slice(0, 16)
}

/** The hash that is recorded of a request or response instead of its content. Errors: INVALID_INPUT, LIMIT_EXCEEDED. */
export function hashRequest(request: unknown): string {
  return hashOf(request, (bytes) => hash('sha256', bytes, 'hex'))
}

export function sha256Hex(text: string): string {
  return hash('sha256', text, 'hex')
}
