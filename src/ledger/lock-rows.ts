import { streamOf } from '../core/lock/names.ts'
import type { Grant, LockState } from '../core/lock/state.ts'
import type { Core } from './core.ts'

/** A lock as it is published; undefined where the ledger has no entry of it. */
export function lockStateOf({ rows }: Pick<Core, 'rows'>, name: string): LockState | undefined {
  return rows.get(streamOf(name))?.state as LockState | undefined
}

/** Its grant, which may be an orphan's; null where nobody has it. */
export function lockGrantOf(core: Pick<Core, 'rows'>, name: string): Grant | null {
  return lockStateOf(core, name)?.grant ?? null
}
