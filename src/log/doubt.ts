import type { Owner } from '../fs/owner.ts'
import { thisMachine } from '../fs/process.ts'

/** How closely a database is looked at before it is opened: not, its newest entries, or every byte of it. */
export type Doubt = 'none' | 'crashed' | 'changed'

/**
 * How far the files can be trusted not to make LevelDB abort. As they were left at close: entirely. Left open: a process
 * died, for we have the guard. Two died in a row, or one while it looked, or the files were changed, copied, put back or
 * found damaged before: not at all, so every byte is read. `folder` is the inode of the folder of the database.
 */
export function doubtOf(owner: Owner | undefined, met: Record<string, string>, folder: string): Doubt {
  if (owner === undefined) return 'changed'
  if (owner.state === 'open') {
    const isCopied = owner.folder != null && owner.folder !== folder
    return owner.suspect === undefined && !isCopied ? 'crashed' : 'changed'
  }
  const names = new Set([...Object.keys(owner.files), ...Object.keys(met)])
  return [...names].every((name) => owner.files[name] === met[name]) ? 'none' : 'changed'
}

/**
 * Whether the files were last written in this boot of this machine, so that no power failure came since. Who only checked
 * them has written nothing yet: they may be as a power failure left them.
 */
export function isOfThisBoot(owner: Owner | undefined): boolean {
  const { boot_id } = thisMachine()
  if (owner?.state !== 'open' || owner.suspect === 'checking') return false
  return boot_id !== null && owner.evidence?.boot_id === boot_id
}
