import { streamOf } from '../domain/lock/names.ts'
import type { Grant, LockState } from '../domain/lock/state.ts'
import type { Core } from './core.ts'

/** The published state of a lock; undefined if the ledger has no entry of it. */
export function lockStateOf({ rows }: Pick<Core, 'rows'>, name: string): LockState | undefined {
  return rows.get(streamOf(name))?.state as LockState | undefined
}

/** The grant of a lock, which may be an orphan; null if the lock is free. */
export function lockGrantOf(core: Pick<Core, 'rows'>, name: string): Grant | null {
  return lockStateOf(core, name)?.grant ?? null
}
