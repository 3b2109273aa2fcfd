import { streamOf } from '../domain/lock/names.ts'
import type { Grant, LockState } from '../domain/lock/state.ts'
import type { Core } from './core.ts'

/** The published state of a lock; undefined if the ledger has no entry of it. */
export async function lockStateOf({ views }: Pick<Core, 'views'>, name: string): Promise<LockState | undefined> {
  return (await views.row(streamOf(name)))?.state as LockState | undefined
}

/** The grant of a lock, which may be an orphan; null if the lock is free. */
export async function lockGrantOf(core: Pick<Core, 'views'>, name: string): Promise<Grant | null> {
  return (await lockStateOf(core, name))?.grant ?? null
}
