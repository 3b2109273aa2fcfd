import type { EndedLock } from '../../api/shapes/locks.ts'
import type { FileOrphan, KeptFile } from '../../domain/lock/commands.ts'
import { lockFileName } from '../../domain/lock/lock-file.ts'
import { LockstepError } from '../../errors.ts'
import { isOutcomeUnknown, underNote } from '../../files/deliverable/claims.ts'
import type { DeliverableFolder } from '../../files/deliverable/deliverable-folder.ts'
import { keepFile } from '../../files/deliverable/kept-file.ts'
import type * as files from '../../files/deliverable/lock-file.ts'
import { dropAside, putBack } from '../../files/deliverable/lock-file-aside.ts'
import type { LockFileSteps } from '../../files/deliverable/lock-file-steps.ts'
import { judge, movedGrant } from '../../files/deliverable/lock-file-verdict.ts'
import type { Actor } from '../../kernel/ids.ts'
import { type Core, submit } from '../../writer/core.ts'
import { errorOf } from '../../writer/refusals.ts'
import type { Deliverables } from './deliverables.ts'
import { isOfFile } from './lock-status.ts'

/** A recovery in progress: the folder, the actor, and the function that records it. */
interface FileRecovery<T> {
  place: DeliverableFolder
  actor: Actor
  /** Appends the recovery. `orphan` is given if no grant explains the file. */
  record: (orphan: FileOrphan | undefined) => Promise<T>
}

/** A file to move out of the way. */
interface FileMove<T> {
  place: DeliverableFolder
  actor: Actor
  isKept: boolean
  /** Appends the record. `kept` is the copy of the file; undefined if none is kept, or if the file was already gone. */
  record: (kept: KeptFile | undefined) => Promise<T>
}

const unreadable: FileOrphan = {
  previous_acquired: null,
  previous_holder: 'unreadable',
  recovery_reason: 'unreadable',
}

/**
 * Recovers the lock of a folder. The file of an orphan, or a file that cannot be read, is set aside; then the
 * recovery is recorded and the file is removed. The bytes of a file that cannot be read are kept. If the recovery is
 * refused, the file is put back. Errors:
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
        return moveAside(core, steps, verdict.seen, {
          ...recovery,
          isKept: false,
          record: () => record(verdict.orphan),
        })
      case 'unreadable': {
        const orphan = (kept: KeptFile | undefined) => record({ ...unreadable, kept })
        return moveAside(core, steps, verdict.seen, { ...recovery, isKept: true, record: orphan })
      }
    }
  })
}

/**
 * Moves a lock file that no grant explains out of the way, whatever it says: it is kept in `.lockstep/aside`, and its
 * move is recorded. Undefined if there is no such file. The caller is an operator. Errors: LOCK_PLACEMENT, LOCK_IS_HELD
 * (the file belongs to the grant of another name), LOCK_CONTENTION (the file changed meanwhile), LIMIT_EXCEEDED.
 */
export function breakFile(
  core: Core,
  deliverables: Deliverables,
  { actor, place, reason }: { actor: Actor; place: DeliverableFolder; reason: string },
): Promise<EndedLock | undefined> {
  return deliverables.inFolder(place, async (steps) => {
    const verdict = await judge(core, place)
    if (verdict.kind === 'elsewhere') throw errorOf(verdict.refusal)
    if (!isOfFile(verdict)) return undefined
    const { seen } = verdict
    const moved = await movedGrant(core, place, seen)
    if (moved !== undefined) {
      throw new LockstepError('LOCK_IS_HELD', `${place.lock} is the file of ${moved.name}, held by ${moved.holder}`, {
        details: { name: place.name, held_name: moved.name, holder: moved.holder, token: moved.token },
        hint: `Break that lock: lockstep lock break ${moved.name} --reason TEXT`,
      })
    }
    const { name } = place
    const content = seen.text.trim().slice(0, contentChars)
    return moveAside(core, steps, seen, {
      actor,
      isKept: true,
      place,
      record: async (kept) => {
        const path = `${place.folder}/${lockFileName}`
        const file = kept === undefined ? undefined : { ...kept, content, path }
        const { entries } = await submit(core, { type: 'lock.break', name, reason, file }, { actor })
        const previous_holder = seen.content?.holder ?? 'unreadable'
        const seq = entries[0]?.seq ?? null
        return { name, previous_holder, previous_token: null, recovery_reason: null, seq, dry_run: false, ...kept }
      },
    })
  })
}

/** How much of a file's text its record has, in UTF-16 code units. The copy has all of it. */
const contentChars = 2_000

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
  const record = () => recovery.record(verdict.orphan)
  await moveAside(core, steps, verdict.seen, { ...recovery, isKept: false, record })
  return true
}

/**
 * Moves a judged file out of the way, records that, and removes the file. With `isKept`, its bytes are copied to
 * `.lockstep/aside` first, and the record names the copy. If the record is refused, the file is put back. Errors:
 * LOCK_CONTENTION if the file changed meanwhile, and the errors of `record`.
 */
async function moveAside<T>(core: Core, steps: LockFileSteps, seen: files.Seen, move: FileMove<T>): Promise<T> {
  const { actor, isKept, place, record } = move
  // If this crashes, the file stays aside. The next open puts it back unless its move was recorded.
  return underNote(core, `recover-${core.newLockId().slice(4, 16)}`, place.path, async (note) => {
    const aside = await steps.setAside(place, seen, actor)
    if (aside === 'changed') throw await steps.contention(place, `the lock file of ${place.name} changed meanwhile`)
    const { path } = aside
    const leave = () => {
      note.isKept = true
    }
    const keptAndRecorded = async () =>
      record(isKept && path !== undefined ? await keepFile(core.layout, path) : undefined)
    const recorded = await keptAndRecorded().catch(async (error: unknown) => {
      // If the outcome is unknown, the move may be recorded. Then the next open checks that, and puts the file back if
      // not.
      if (path !== undefined && !isOutcomeUnknown(error)) await putBack(place.path, path).catch(leave)
      throw error
    })
    // The move is recorded, so it is complete even if the file cannot be removed now.
    if (path !== undefined) await dropAside(path).catch(leave)
    return recorded
  })
}
