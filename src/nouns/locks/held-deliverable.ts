import { existsSync } from 'node:fs'
import { lockFileOfGrant } from '../../domain/lock/lock-file.ts'
import { type Grant, orphanReason } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import { isOutcomeUnknown, underNote } from '../../files/deliverable/claims.ts'
import type { DeliverableFolder } from '../../files/deliverable/deliverable-folder.ts'
import * as files from '../../files/deliverable/lock-file.ts'
import type { LockFileSteps } from '../../files/deliverable/lock-file-steps.ts'
import { isoTime } from '../../kernel/clock.ts'
import type { Actor } from '../../kernel/ids.ts'
import { type Core, submit } from '../../writer/core.ts'
import type { Outcome } from '../../writer/submission.ts'

/** A current grant of a deliverable, its folder, and its holder. */
interface Held {
  actor: Actor
  grant: Grant
  place: DeliverableFolder
}

/**
 * Renews a grant. The file is rewritten first, so that it never promises less time than the ledger. A file that was
 * removed is put back. A folder that is gone has no file, and the grant goes on without it. Errors: LEASE_LOST if
 * another file is there, and those of the decision.
 */
export async function renewGrant(core: Core, steps: LockFileSteps, held: Held): Promise<Outcome> {
  const { actor, grant, place } = held
  const command = { type: 'lock.renew' as const, name: grant.name, lock_ref: grant.lock_ref }
  // An expired lease cannot be renewed, so its file is left unchanged.
  if (orphanReason(grant, undefined, core.now()) !== undefined) return submit(core, command, { actor })
  const seen = await ownFile(core, steps, held)
  if (seen === undefined) return submit(core, command, { actor })
  const { wall_ms, lease_clock } = core.now()
  const acquired = isoTime(wall_ms)
  const text = lockFileOfGrant({ ...grant, acquired }, core.log.meta.origin)
  if (!(await files.rewrite(place.lock, seen, text))) {
    throw await steps.lose(grant, (await steps.look(grant, place)).other ?? 'replaced', actor)
  }
  const renewed = submit(core, { ...command, claim: { acquired, lease_clock } }, { actor })
  return renewed.catch(async (error: unknown) => {
    // The renewal was refused, so the file gets its old text back.
    if (!isOutcomeUnknown(error)) await writeBack(steps, held, seen.text).catch(() => {})
    throw error
  })
}

/**
 * The file of a grant, put back if it was removed or cut; undefined if its folder is gone, for example during a branch
 * switch. Errors: LEASE_LOST if another file is there.
 */
async function ownFile(core: Core, steps: LockFileSteps, held: Held): Promise<files.Seen | undefined> {
  const { actor, grant, place } = held
  const { seen, other = 'missing' } = await steps.look(grant, place)
  if (seen !== undefined) return seen
  if (other === 'missing' && !existsSync(place.path)) return undefined
  await underNote(core, grant.lock_ref, place.path, () => steps.restore(place, grant, actor))
  const again = await steps.look(grant, place)
  if (again.seen === undefined) throw await steps.lose(grant, again.other ?? other, actor)
  return again.seen
}

async function writeBack(steps: LockFileSteps, { grant, place }: Held, text: string): Promise<void> {
  const { seen } = await steps.look(grant, place)
  if (seen !== undefined) await files.rewrite(place.lock, seen, text)
}

/**
 * Releases a grant, then removes its file. A file that was removed under the grant is restored first, so that this is on
 * record: another tool may have held the folder meanwhile. Errors: LEASE_LOST if another file is there, and those of
 * the decision.
 */
export async function releaseGrant(
  core: Core,
  steps: LockFileSteps,
  held: Held & { outcome: 'failure' | 'success' },
): Promise<Outcome & { files: 'current' | 'pending' }> {
  const { actor, grant, outcome, place } = held
  // If the file cannot be read or restored now, the holder can still release. Its removal is retried later.
  const { cut, other } = await steps.look(grant, place).catch(() => ({ cut: undefined, other: undefined }))
  if (other !== undefined && other !== 'missing' && cut === undefined) throw await steps.lose(grant, other, actor)
  const isOver = orphanReason(grant, undefined, core.now()) !== undefined
  if (other !== undefined && !isOver) {
    await ownFile(core, steps, held).catch((error: unknown) => {
      if (!(error instanceof LockstepError) || !/^(?:DISK|FILE|LINK)_/.test(error.code)) throw error
    })
  }
  const { lock_ref, name } = grant
  const released = await submit(core, { type: 'lock.release', name, lock_ref, outcome }, { actor })
  if (cut !== undefined && isOver) await steps.remove(place, cut, actor).catch(() => {})
  return { ...released, files: await steps.removeFileOf(grant, place, actor) }
}
