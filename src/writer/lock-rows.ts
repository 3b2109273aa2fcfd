import { kindOf, streamOf, streamOfPaths } from '../domain/lock/names.ts'
import type { Grant, LockState } from '../domain/lock/state.ts'
import { after, type Maybe } from '../kernel/maybe.ts'
import type { Core } from './core.ts'

/** The published state of a lock; undefined if the ledger has no entry of it. */
export function lockStateOf({ views }: Pick<Core, 'views'>, name: string): Maybe<LockState | undefined> {
  return after(views.row(streamOf(name)), (row) => row?.state as LockState | undefined)
}

/** The grant that a lock_ref names, which may be an orphan; null if it has ended. A path can have several grants. */
export function grantUnder(core: Pick<Core, 'views'>, { name, lock_ref }: { name: string; lock_ref: string }) {
  if (kindOf(name) !== 'path') return lockGrantOf(core, name)
  return after(core.views.row(streamOfPaths(lock_ref)), (row) => (row?.state as LockState | undefined)?.grant ?? null)
}

/** The grant of a lock, which may be an orphan; null if the lock is free. */
export function lockGrantOf(core: Pick<Core, 'views'>, name: string): Maybe<Grant | null> {
  return after(lockStateOf(core, name), (state) => state?.grant ?? null)
}
