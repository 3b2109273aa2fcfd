import type { Config } from '../core/config.ts'
import type { Entry } from '../core/entry.ts'
import type { LockEventData } from '../core/lock/events.ts'
import { endedFile, lockedFile, type RunLock } from '../core/lock/run-lock-file.ts'
import { LockstepError } from '../errors.ts'
import { type FoundRunLock, isSameRunLock, readRunLock, runLockPath, writeRunLock } from '../fs/run-lock-files.ts'
import type { Log } from '../log/log.ts'
import type { Reactor } from './reactor.ts'

type GrantData = LockEventData<'lock.acquired'>

/** Keeps RUN_LOCK.json (seed 1) in step with the ledger. A file edited by hand is never overwritten. */
export function runLockReactor(log: Log, root: string, config: Config): Reactor {
  const ends = new Set(['lock.broken', 'lock.released'])
  return {
    name: 'run_lock',
    concerns: (entry) =>
      entry.stream.startsWith('lock/project:') && (entry.type === 'lock.acquired' || ends.has(entry.type)),
    handle: async (entry) => {
      const token = entry.type === 'lock.acquired' ? entry.seq : Number(entry.data.token ?? entry.data.previous_token)
      const grant = log.entry(token)?.data as GrantData | undefined
      if (grant?.run_id === undefined) return 'done'
      const path = runLockPath(root, config, grant.run_id)
      return entry.type === 'lock.acquired'
        ? writeLocked(path, grant)
        : writeReleased(path, grant, { end: entry, authority: config.release_authority })
    },
  }
}

/** An imported lock has its file already; that file led to the grant. */
async function writeLocked(path: string, grant: GrantData): Promise<'done' | 'left'> {
  if (grant.source === 'import') return 'done'
  const found = readable(path)
  if (found !== undefined) {
    // Handled before, and maybe released since.
    return found.content !== undefined && isOf(found.content, grant) ? 'done' : 'left'
  }
  await writeRunLock(path, lockedFile(grant))
  return 'done'
}

/** A file that somebody set to RELEASED led to this end, or waits for the authority; it is not ours to write. */
async function writeReleased(
  path: string,
  grant: GrantData,
  { end, authority }: { end: Entry; authority: string },
): Promise<'done' | 'left'> {
  const released = endedFile(grant, end, authority)
  const found = readable(path)
  if (found?.content?.status === 'RELEASED') {
    return end.data.evidence === 'run_file' || isSameRunLock(found.content, released) ? 'done' : 'left'
  }
  const isAsLeft =
    found === undefined ||
    (found.content !== undefined &&
      (grant.source === 'import'
        ? found.content.run_id === grant.run_id
        : isSameRunLock(found.content, lockedFile(grant))))
  if (!isAsLeft) return 'left'
  await writeRunLock(path, released)
  return 'done'
}

/** What is there. A folder or a file without bytes to read is in the way, but nobody's words: it is waited out. */
function readable(path: string): FoundRunLock | undefined {
  const found = readRunLock(path)
  if (found === undefined || found.text !== '') return found
  throw new LockstepError('FILE_FAILED', `what stands at ${path} cannot be read`)
}

/** Whether a file is the grant's own, LOCKED or RELEASED: its members besides the status are the grant's. */
function isOf(content: RunLock, grant: GrantData): boolean {
  const { lock_owner, lock_reason, lock_time, release_conditions, run_id, target_name } = content
  const members = { lock_owner, lock_reason, lock_time, release_conditions, run_id, target_name }
  return isSameRunLock({ status: 'LOCKED', ...members }, lockedFile(grant))
}
