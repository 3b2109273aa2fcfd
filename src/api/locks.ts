import { anyGrant, type CallOptions, type Operations } from './operation.ts'
import { type Nothing, nothing } from './shapes/basics.ts'
import * as shapes from './shapes/locks.ts'

/**
 * Locks on resources, files and subtrees, deliverable folders, and projects. The caller is the `actor` in the input, or else the actor of
 * the connection.
 */
export interface LocksApi {
  /**
   * Acquires a resource by `name`, files and subtrees by `paths`, a deliverable by `folder`, or a project by
   * `target_name` and `run_id`. All paths are one grant, or none is granted. A repeated call with the same `lock_id` gets
   * the same grant. Cost: one append; for paths it grows with their depth, not with the number of locks.
   */
  acquire(
    input: shapes.AcquireResource | shapes.AcquirePaths | shapes.AcquireDeliverable | shapes.AcquireProject,
    options?: CallOptions,
  ): Promise<shapes.Grant>
  /** Acquires several resources in the order of their names, all or none. Cost: one append. */
  acquireAll(input: shapes.AcquireAll, options?: CallOptions): Promise<shapes.GrantList>
  /** Renews the lease of a current grant. Cost: one append. */
  renew(input: shapes.RenewLock, options?: CallOptions): Promise<shapes.Renewal>
  /** Releases a lock by its `lock_id`; the release authority releases a project's by its `run_id`. Cost: one append. */
  release(input: shapes.ReleaseLock | shapes.ReleaseProject, options?: CallOptions): Promise<shapes.ReleasedLock>
  /** Ends an orphan. With `dry_run` it shows evidence and verdict, and changes nothing. */
  recover(input: shapes.RecoverLock, options?: CallOptions): Promise<shapes.EndedLock>
  /**
   * Ends a valid grant without its holder's consent, by its name or its folder. A lock file that no grant explains is
   * moved aside instead, and kept.
   */
  break(input: shapes.BreakLock | shapes.BreakFolder, options?: CallOptions): Promise<shapes.EndedLock>
  /** Ends the lock of a deliverable before its folder is moved or deleted. */
  retire(input: shapes.RetireFolder, options?: CallOptions): Promise<shapes.RetiredFolder>
  /** The state of a lock now. It is free only if there is neither a grant nor a lock file. */
  status(input: shapes.OfLock | shapes.OfFolder, options?: CallOptions): Promise<shapes.LockState>
  /**
   * Locks that are held, orphans included, in the order of their names. Lock files that no grant explains are listed
   * for the folders that the ledger knows, and with `under` for all folders below it. With `paths` only the locks that
   * exclude a change to one of them, at a cost that grows with their depth.
   */
  list(input?: shapes.ListLocks, options?: CallOptions): Promise<shapes.LockList>
  /** The entries of a lock, newest first: who held it, when, and why each grant ended. */
  history(input: shapes.LockHistory, options?: CallOptions): Promise<shapes.EntryList>
  /** Checks that a run holds the lock of its target, and rejects if not. Every role does this before its work. */
  check(input: shapes.CheckLock, options?: CallOptions): Promise<shapes.CheckedLock>
  /** Takes over an existing RUN_LOCK.json. With `set_aside` it moves a file that blocks a project. */
  importFile(input: shapes.ImportFile, options?: CallOptions): Promise<shapes.ImportedFile>
  /** RUN_LOCK.json files below the root that the ledger does not know, and that say LOCKED or cannot be read. */
  unknownFiles(input?: Nothing, options?: CallOptions): Promise<shapes.FileList>
}

const fileErrors = ['FILE_DENIED', 'FILE_FAILED', 'FILE_READ_ONLY'] as const

export const locks: Operations<LocksApi> = {
  acquire: {
    kind: 'command',
    summary: 'Acquires a resource, files and subtrees, a deliverable folder or a project.',
    input: {
      name: shapes.acquireResource,
      paths: shapes.acquirePaths,
      folder: shapes.acquireDeliverable,
      target_name: shapes.acquireProject,
    },
    output: shapes.grant,
    errors: [
      'LOCK_CONTENTION',
      'TIMED_OUT',
      'LOCK_ENDED',
      'LEASE_LOST',
      'IDEMPOTENCY_MISMATCH',
      'PID_NOT_FOUND',
      'NOT_FOUND',
      'LOCK_PLACEMENT',
      'LINK_UNSUPPORTED',
      'WRITE_SCOPE_DENIED',
      'LOCK_OWNER_MISMATCH',
      'RUN_LOCK_RELEASED',
      ...fileErrors,
    ],
    grants: ['agent'],
    waits: (input) => 'wait_s' in input && (input.wait_s ?? 0) > 0,
  },
  acquireAll: {
    kind: 'command',
    summary: 'Acquires several resources, all or none.',
    input: shapes.acquireAll,
    output: shapes.grants,
    errors: ['LOCK_CONTENTION', 'LOCK_ENDED', 'IDEMPOTENCY_MISMATCH', 'PID_NOT_FOUND'],
    grants: ['agent'],
  },
  renew: {
    kind: 'command',
    summary: 'Renews the lease of a current grant.',
    input: shapes.renew,
    output: shapes.renewal,
    errors: ['LOCK_NOT_HELD', 'STALE_TOKEN', 'LEASE_EXPIRED', 'LEASE_LOST', ...fileErrors],
    grants: ['agent'],
  },
  release: {
    kind: 'command',
    summary: 'Releases a lock by its lock_id, or a project lock by its run_id.',
    input: { lock_id: shapes.release, run_id: shapes.releaseProject },
    output: shapes.released,
    errors: [
      'LOCK_NOT_HELD',
      'LEASE_LOST',
      'RELEASE_DENIED',
      'RELEASE_CONDITION_UNMET',
      'IDEMPOTENCY_MISMATCH',
      ...fileErrors,
    ],
    grants: { lock_id: ['agent'], run_id: ['authority'] },
  },
  recover: {
    kind: 'command',
    summary: 'Ends an orphan, or only shows the evidence.',
    input: shapes.recover,
    output: shapes.ended,
    errors: ['NOT_FOUND', 'LOCK_NOT_ORPHAN', 'LOCK_CONTENTION', 'LOCK_PLACEMENT', 'WRITE_SCOPE_DENIED', ...fileErrors],
    grants: ['agent', 'operator'],
  },
  break: {
    kind: 'command',
    summary: 'Ends a valid grant without its holder’s consent, or moves a foreign lock file aside.',
    input: { name: shapes.breakLock, folder: shapes.breakFolder },
    output: shapes.ended,
    errors: [
      'RELEASE_DENIED',
      'LOCK_NOT_HELD',
      'LOCK_IS_HELD',
      'LOCK_PLACEMENT',
      'LOCK_CONTENTION',
      'NOT_FOUND',
      ...fileErrors,
    ],
    grants: ['authority', 'operator'],
    mayReleaseProject: (input) => 'name' in input && String(input.name).startsWith('project:'),
  },
  retire: {
    kind: 'command',
    summary: 'Ends the lock of a deliverable before its folder is moved or deleted.',
    input: shapes.retire,
    output: shapes.retired,
    errors: [
      'NOT_FOUND',
      'LOCK_IS_HELD',
      'LOCK_PLACEMENT',
      'LOCK_CONTENTION',
      'LOCK_NOT_ORPHAN',
      'WRITE_SCOPE_DENIED',
      ...fileErrors,
    ],
    grants: ['agent', 'operator'],
  },
  status: {
    kind: 'query',
    summary: 'Shows the state of a lock now.',
    input: { name: shapes.ofLock, folder: shapes.ofFolder },
    output: shapes.status,
    errors: ['NOT_FOUND', 'LOCK_PLACEMENT', 'FILE_DENIED', 'FILE_FAILED'],
    grants: anyGrant,
  },
  list: {
    kind: 'query',
    summary: 'Lists locks that are held, in the order of their names.',
    input: shapes.list,
    output: shapes.listed,
    errors: ['NOT_FOUND', 'LIMIT_EXCEEDED', 'LOCK_PLACEMENT', 'FILE_DENIED', 'FILE_FAILED'],
    grants: anyGrant,
  },
  history: {
    kind: 'query',
    summary: 'Lists the entries of a lock, newest first.',
    input: shapes.history,
    output: shapes.entries,
    errors: ['NOT_FOUND'],
    grants: anyGrant,
  },
  check: {
    kind: 'query',
    summary: 'Checks that a run holds the lock of its target.',
    input: shapes.check,
    output: shapes.checked,
    errors: ['LOCK_CHECK_FAILED'],
    grants: anyGrant,
  },
  importFile: {
    kind: 'command',
    summary: 'Takes over an existing RUN_LOCK.json, or moves one that blocks a project.',
    input: shapes.importFile,
    output: shapes.imported,
    errors: [
      'NOT_FOUND',
      'LOCK_OWNER_MISMATCH',
      'RUN_LOCK_RELEASED',
      'LOCK_CONTENTION',
      'LOCK_NOT_HELD',
      'LOCK_IS_HELD',
      'RELEASE_DENIED',
      'RELEASE_CONDITION_UNMET',
      ...fileErrors,
    ],
    grants: ['agent', 'authority'],
    mayReleaseProject: ({ file }) => file !== undefined,
  },
  unknownFiles: {
    kind: 'query',
    summary: 'Lists RUN_LOCK.json files that block and that the ledger does not know.',
    input: nothing,
    output: shapes.fileList,
    errors: ['FILE_DENIED', 'FILE_FAILED'],
    grants: anyGrant,
  },
}
