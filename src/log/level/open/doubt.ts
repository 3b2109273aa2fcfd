import type { Layout } from '../../../disk/layout.ts'
import { thisMachine } from '../../../disk/process.ts'
import type { Owner } from '../owner/owner.ts'
import { problemError, programAt, runChild } from './child.ts'

/** How much of a database is checked before it is opened: nothing, its newest entries, or every byte. */
export type Doubt = 'none' | 'crashed' | 'changed'

/**
 * Decides how thoroughly to check the files, since LevelDB may abort on damaged ones. Files unchanged since they were
 * closed are trusted. If the owner file says "open", a process died, because this process has the guard; then the
 * newest entries are checked. Every byte is checked if two processes died in a row, or one died during its check. The
 * same applies if the files were changed, copied, put back or found damaged. `folder` is the inode of the database
 * folder.
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
 * Whether the files were last written since this machine booted, so that no power failure can have damaged them. A
 * process that was only checking the files wrote nothing, so they may still be as a power failure left them.
 */
export function isOfThisBoot(owner: Owner | undefined): boolean {
  const { boot_id } = thisMachine()
  if (owner?.state !== 'open' || owner.suspect === 'checking') return false
  return boot_id !== null && owner.evidence?.boot_id === boot_id
}

const checkProgram = programAt('log/level/open/open-check-child')

/**
 * Opens and checks the database in a child process first. If LevelDB aborts, only the child dies. `bytes` are the newest
 * bytes to check, unless the doubt is about all of them.
 */
export async function checkInChild(layout: Layout, bytes: number, doubt: Doubt): Promise<void> {
  const answer = await runChild(checkProgram, [layout.root, String(bytes), doubt === 'changed' ? 'all' : 'newest'])
  if (answer.problem !== undefined) throw problemError(answer.problem)
}
