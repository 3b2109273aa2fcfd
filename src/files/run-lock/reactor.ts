import { textsErasedBy } from '../../domain/erasure/selection.ts'
import type { LockEventData } from '../../domain/lock/events.ts'
import { endedFile, lockedFile, type ReadRunLock, type RunLock, runLockText } from '../../domain/lock/run-lock-file.ts'
import { LockstepError } from '../../errors.ts'
import type { Config } from '../../kernel/config.ts'
import type { Entry } from '../../kernel/entry.ts'
import { erasedText } from '../../kernel/free-text.ts'
import { type Log, seqOfToken } from '../../log/log.ts'
import { entryAt } from '../../log/tiles.ts'
import type { Reactor } from '../reactor.ts'
import { type FoundRunLock, isSameRunLock, readRunLock, runLockPath, writeRunLock } from './run-lock-files.ts'

type GrantData = LockEventData<'lock.acquired'>

/** Keeps RUN_LOCK.json (run lock template) in step with the ledger. It never overwrites a file that was edited by hand. */
export function runLockReactor(log: Log, root: string, settings: () => Config): Reactor {
  const handled = new Set(['lock.acquired', 'lock.broken', 'lock.file_restored', 'lock.released'])
  return {
    name: 'run_lock',
    concerns: ({ stream, type }) => {
      return type === 'text.erased' || (stream.startsWith('lock/project:') && handled.has(type))
    },
    handle: async (entry) => {
      if (entry.type === 'text.erased') return eraseReasons(entry, { log, root, settings })
      const { previous_token, token = previous_token } = entry.data
      const seq = entry.type === 'lock.acquired' ? entry.seq : seqOfToken(log.meta, Number(token))
      const grant = (await entryAt(log, seq))?.data as GrantData | undefined
      if (grant?.run_id === undefined) return 'done'
      const config = settings()
      const path = runLockPath(root, config, grant.run_id)
      // An imported lock already has a file: the grant was read from it.
      if (entry.type === 'lock.acquired') return grant.source === 'import' ? 'done' : writeLocked(path, grant)
      return entry.type === 'lock.file_restored'
        ? writeLocked(path, grant)
        : writeReleased(path, grant, { end: entry, authority: config.release_authority })
    },
  }
}

/** Removes reasons that were erased from the files that still have them. A file that was edited by hand is left alone. */
async function eraseReasons(
  erasure: Entry,
  { log, root, settings }: { log: Log; root: string; settings: () => Config },
): Promise<'done'> {
  for (const { paths, seq } of textsErasedBy(erasure)) {
    const entry = paths.includes('/data/lock_reason') ? await entryAt(log, seq) : undefined
    const grant = entry?.data as GrantData | undefined
    if (grant?.run_id === undefined) continue
    const path = runLockPath(root, settings(), grant.run_id)
    const { content, text } = readable(path) ?? {}
    if (content === undefined || text !== runLockText(content as RunLock) || !isOf(content, grant)) continue
    await writeRunLock(path, { ...content, lock_reason: erasedText } as RunLock)
  }
  return 'done'
}

async function writeLocked(path: string, grant: GrantData): Promise<'done' | 'left'> {
  const found = readable(path)
  if (found !== undefined) {
    // This entry was handled before; the lock may have been released since.
    return found.content !== undefined && isOf(found.content, grant) ? 'done' : 'left'
  }
  await writeRunLock(path, lockedFile(grant))
  return 'done'
}

/**
 * Writes the released file. A file that a person set to RELEASED is left alone: either the release was read from it,
 * or it waits for the authority.
 */
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

/** The run lock at this path. A folder, or a file that cannot be read, rejects so that the entry is retried later. */
function readable(path: string): FoundRunLock | undefined {
  const found = readRunLock(path)
  if (found === undefined || found.text !== '') return found
  throw new LockstepError('FILE_FAILED', `cannot read ${path}`)
}

/** Whether the file belongs to this grant, LOCKED or RELEASED: every member except the status matches the grant. */
function isOf(content: ReadRunLock, grant: GrantData): boolean {
  const { lock_owner, lock_reason, lock_time, release_conditions, run_id, target_name } = content
  const members = { lock_owner, lock_reason, lock_time, release_conditions, run_id, target_name }
  return isSameRunLock({ status: 'LOCKED', ...members }, lockedFile(grant))
}
