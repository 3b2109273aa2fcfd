import { canonicalText, type Json } from '../core/canonical.ts'
import type { Config } from '../core/config.ts'
import type { Entry } from '../core/entry.ts'
import type { LockEventData } from '../core/lock/events.ts'
import { endedFile, lockedFile, type RunLock } from '../core/lock/run-lock-file.ts'
import { LockstepError } from '../errors.ts'
import { readRunLock, runLockPath, writeRunLock } from '../fs/run-lock-files.ts'
import type { Log } from '../log/log.ts'
import type { Reactor } from './reactor.ts'

/** Keeps RUN_LOCK.json (seed 1) in step with the ledger. A file edited by hand is never overwritten. */
export function runLockReactor(log: Log, root: string, config: Config): Reactor {
  const ends = new Set(['lock.broken', 'lock.released'])
  return {
    name: 'run_lock',
    concerns: (entry) =>
      entry.stream.startsWith('lock/project:') && (entry.type === 'lock.acquired' || ends.has(entry.type)),
    handle: async (entry) => {
      if (entry.type === 'lock.acquired') return writeLocked(entry, root, config)
      const token = Number(entry.data.token ?? entry.data.previous_token)
      const grant = log.entry(token)
      if (grant !== undefined) await writeReleased(grant, entry, root, config)
    },
  }
}

async function writeLocked(entry: Entry, root: string, config: Config): Promise<void> {
  const grant = entry.data as LockEventData<'lock.acquired'>
  // An imported lock has its file already; that file led to the grant.
  if (grant.source === 'import') return
  const path = runLockPath(root, config, grant.run_id ?? '')
  const found = readRunLock(path)
  if (found === undefined) await writeRunLock(path, lockedFile(grant))
  else if (found.content?.run_id !== grant.run_id) throw edited(path)
}

async function writeReleased(grantEntry: Entry, end: Entry, root: string, config: Config): Promise<void> {
  const grant = grantEntry.data as LockEventData<'lock.acquired'>
  const path = runLockPath(root, config, grant.run_id ?? '')
  const released = endedFile(grant, end, config.release_authority)
  const found = readRunLock(path)
  const isAsLeft = found === undefined || isSame(found.content, lockedFile(grant)) || grant.source === 'import'
  if (isAsLeft && found?.content?.status !== 'RELEASED') await writeRunLock(path, released)
  else if (found?.content?.status !== 'RELEASED') throw edited(path)
}

function isSame(content: RunLock | undefined, expected: RunLock): boolean {
  return content !== undefined && canonicalText(content as Json) === canonicalText(expected as Json)
}

function edited(path: string): LockstepError {
  return new LockstepError('FILE_FAILED', `${path} was edited by hand and is left as it is`, {
    hint: 'Put back what the ledger says, or let the release authority import it: "lockstep lock import FILE".',
  })
}
