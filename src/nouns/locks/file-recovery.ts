import type { FileOrphan } from '../../domain/lock/commands.ts'
import { LockstepError } from '../../errors.ts'
import { isOutcomeUnknown, underNote } from '../../files/deliverable/claims.ts'
import type { DeliverableFolder } from '../../files/deliverable/deliverable-folder.ts'
import type * as files from '../../files/deliverable/lock-file.ts'
import { dropAside, putBack } from '../../files/deliverable/lock-file-aside.ts'
import type { LockFileSteps } from '../../files/deliverable/lock-file-steps.ts'
import { judge } from '../../files/deliverable/lock-file-verdict.ts'
import type { Actor } from '../../kernel/ids.ts'
import type { Core } from '../../writer/core.ts'
import { errorOf } from '../../writer/refusals.ts'
import type { Deliverables } from './deliverables.ts'

/** A recovery in progress: the folder, the actor, and the function that records it. */
interface FileRecovery<T> {
  place: DeliverableFolder
  actor: Actor
  /** Appends the recovery. `orphan` is given if no grant explains the file. */
  record: (orphan: FileOrphan | undefined) => Promise<T>
}

const unreadable: FileOrphan = {
  previous_acquired: null,
  previous_holder: 'unreadable',
  recovery_reason: 'unreadable',
}

/**
 * Recovers the lock of a folder. The file of an orphan, or a file that cannot be read, is set aside; then the
 * recovery is recorded and the file is removed. If the recovery is refused, the file is put back. Errors:
 * LOCK_NOT_ORPHAN for a file that another tool holds, LOCK_PLACEMENT, and the errors of `record`.
 */
export function recoverFile<T>(core: Core, deliverables: Deliverables, recovery: FileRecovery<T>): Promise<T> {
  const { place, record } = recovery
  return deliverables.inFolder(place, async (steps) => {
    const verdict = await judge(core, place)
    switch (verdict.kind) {
      case 'elsewhere':
        throw errorOf(verdict.refusal)
      case 'foreign': {
        const { details, message } = verdict.refusal
        throw new LockstepError('LOCK_NOT_ORPHAN', `${message}; only orphans can be recovered`, { details })
      }
      case 'free':
      case 'held':
      case 'own':
        return record(undefined)
      case 'orphan':
        return moveAside(core, steps, verdict.seen, { ...recovery, record: () => record(verdict.orphan) })
      case 'unreadable':
        return moveAside(core, steps, verdict.seen, { ...recovery, record: () => record(unreadable) })
    }
  })
}

/**
 * Clears a folder before it is retired: recovers the file of a dead holder of another tool, or a file left by a
 * crash. Returns whether there was such a file. Errors: LOCK_IS_HELD for a file that another tool holds or that
 * cannot be read, and the errors of `record`.
 */
export async function clearFolder(core: Core, steps: LockFileSteps, recovery: FileRecovery<unknown>): Promise<boolean> {
  const verdict = await judge(core, recovery.place)
  if (verdict.kind === 'foreign' || verdict.kind === 'unreadable') {
    const { details, message } = verdict.refusal
    throw new LockstepError('LOCK_IS_HELD', `${message}; a locked folder cannot be retired`, { details })
  }
  if (verdict.kind !== 'orphan' || verdict.orphan === undefined) return false
  await moveAside(core, steps, verdict.seen, { ...recovery, record: () => recovery.record(verdict.orphan) })
  return true
}

async function moveAside<T>(
  core: Core,
  steps: LockFileSteps,
  seen: files.Seen,
  { place, actor, record }: { place: DeliverableFolder; actor: Actor; record: () => Promise<T> },
): Promise<T> {
  // If this crashes, the file stays aside. The next open puts it back unless its recovery was recorded.
  return underNote(core, `recover-${core.newLockId().slice(4, 16)}`, place.path, async (note) => {
    const aside = await steps.setAside(place, seen, actor)
    if (aside === 'changed') throw await steps.contention(place, `the lock file of ${place.name} changed meanwhile`)
    const { path } = aside
    const leave = () => {
      note.isKept = true
    }
    const recorded = await record().catch(async (error: unknown) => {
      // If the outcome is unknown, the recovery may be recorded. Then the next open checks that, and puts the file
      // back if not.
      if (path !== undefined && !isOutcomeUnknown(error)) await putBack(place.path, path).catch(leave)
      throw error
    })
    // The recovery is recorded, so it is complete even if the file cannot be removed now.
    if (path !== undefined) await dropAside(path).catch(leave)
    return recorded
  })
}
