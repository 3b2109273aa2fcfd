import { join } from 'node:path'
import type { LockState as LockStatus } from '../../api/shapes/locks.ts'
import { lockFileName } from '../../domain/lock/lock-file.ts'
import { deliverableIdIn, kindOf, streamOf } from '../../domain/lock/names.ts'
import { boundElsewhere, contentionWithFile } from '../../domain/lock/report.ts'
import { type Grant, type LockState, leaseRemainingSeconds, orphanReason } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import type { DeliverableFolder } from '../../files/deliverable/deliverable-folder.ts'
import { findingOf, judge, type LockFileVerdict } from '../../files/deliverable/lock-file-verdict.ts'
import { given } from '../../kernel/given.ts'
import type { Core } from '../../writer/core.ts'
import { livenessOf } from '../../writer/holders.ts'
import { errorOf } from '../../writer/refusals.ts'
import { runLockStatus } from './project-files.ts'

/**
 * The status of a lock. It is free only if there is neither a grant nor a file: in the folder that a deliverable is bound
 * to, or one that blocks a project.
 * Errors: NOT_FOUND if the ledger has no entry of this lock, and file errors.
 */
export async function statusOf(core: Core, name: string): Promise<LockStatus> {
  const row = await core.views.row(streamOf(name))
  if (kindOf(name) === 'project' && !(row?.state as LockState | undefined)?.grant) {
    const blocked = await runLockStatus(core, name, row?.last_seq ?? null)
    if (blocked !== undefined) return blocked
  }
  if (row === undefined) {
    throw new LockstepError('NOT_FOUND', `${name} was never locked`, {
      details: { name },
      hint: kindOf(name) === 'deliverable' ? 'Name its folder in `folder` to look for a lock file there.' : undefined,
    })
  }
  const state = row.state as LockState
  const status = describe(core, state, row.last_seq)
  const place = boundPlace(core, state)
  // The grant of a live holder explains the file.
  if (status.state === 'held' || place === undefined) return status
  return (await standingFile(core, place)) ?? status
}

/** The status of a folder's lock. Errors: LOCK_PLACEMENT if its name is bound to another folder, and file errors. */
export async function statusIn(core: Core, place: DeliverableFolder): Promise<LockStatus> {
  const { folder, name } = place
  const row = await core.views.row(streamOf(name))
  const state = row?.state as LockState | undefined
  if (state?.folder && state.folder !== folder) {
    throw errorOf(boundElsewhere(name, { bound: state.folder, asked: folder, holder: state.grant }))
  }
  const found = await standingFile(core, place)
  if (found !== undefined) return found
  if (state !== undefined) return describe(core, state, row?.last_seq ?? 0)
  const line = core.waiters.lineOf(streamOf(name))
  return { name, kind: 'deliverable', state: 'free', folder, ...line, last_seq: null }
}

/** The folder that a deliverable's name is bound to; undefined if there is none. */
export function boundPlace({ layout }: Core, { folder, name }: LockState): DeliverableFolder | undefined {
  if (!folder) return undefined
  const path = join(layout.root, folder)
  return { path, folder, deliverable_id: deliverableIdIn(name) ?? '', name, lock: join(path, lockFileName) }
}

/**
 * The status of a lock file that no grant explains; undefined if there is none. A link or folder in its place also
 * keeps the lock from being free. Errors: file errors.
 */
export async function standingFile(core: Core, place: DeliverableFolder): Promise<LockStatus | undefined> {
  try {
    const verdict = await judge(core, place)
    return isOfFile(verdict) ? await fileStatus(core, place, verdict) : undefined
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'LOCK_PLACEMENT') throw error
    const seen = { ino: 0n, size: 0n, mtimeNs: 0n, text: '', content: undefined }
    const refusal = contentionWithFile(findingOf(core, place, seen), core.now())
    return fileStatus(core, place, { kind: 'foreign', refusal, seen })
  }
}

/** Whether a verdict concerns a file that no grant explains. */
export function isOfFile(verdict: LockFileVerdict): verdict is FileVerdict {
  if (verdict.kind === 'orphan') return verdict.orphan !== undefined
  return verdict.kind === 'foreign' || verdict.kind === 'unreadable'
}

type FileVerdict = Extract<LockFileVerdict, { kind: 'foreign' | 'orphan' | 'unreadable' }>

/** The status of a lock whose file no grant explains. */
export async function fileStatus(core: Core, place: DeliverableFolder, verdict: FileVerdict): Promise<LockStatus> {
  const { acquired, holder, holder_alive, lease_remaining_s, pid } = findingOf(core, place, verdict.seen)
  const reason = verdict.kind === 'unreadable' ? verdict.kind : undefined
  const orphan_reason = verdict.kind === 'orphan' ? verdict.orphan?.recovery_reason : reason
  return {
    name: place.name,
    kind: 'deliverable',
    state: orphan_reason === undefined ? 'held' : 'orphan',
    ...given({ orphan_reason }),
    holder,
    ...(acquired === null ? {} : { acquired }),
    lease_remaining_s,
    holder_alive,
    pids: pid === null ? [] : [pid],
    folder: place.folder,
    ...core.waiters.lineOf(streamOf(place.name)),
    last_seq: (await core.views.row(streamOf(place.name)))?.last_seq ?? null,
  }
}

/** The status of a lock by its grant alone. */
export function describe(core: Core, { grant, kind, name }: LockState, lastSeq: number): LockStatus {
  const line = core.waiters.lineOf(streamOf(name))
  if (grant === null) return { name, kind, state: 'free', ...line, last_seq: lastSeq }
  return { ...describeGrant(core, grant), ...line, last_seq: lastSeq }
}

/** What a grant says about the status of its lock. */
export function describeGrant(core: Core, grant: Grant): Omit<LockStatus, 'last_seq' | 'waiting'> {
  const now = core.now()
  const liveness = livenessOf(grant)
  const reason = orphanReason(grant, liveness.alive === 'no' ? liveness.reason : undefined, now)
  return {
    name: grant.name,
    kind: grant.kind,
    state: reason === undefined ? 'held' : 'orphan',
    ...given({ orphan_reason: reason }),
    holder: grant.holder,
    actor_id: grant.actor_id,
    ...given({ authn: grant.authn }),
    token: grant.token,
    acquired: grant.acquired,
    lease_remaining_s: leaseRemainingSeconds(grant, now),
    holder_alive: liveness.alive,
    ...given({ host: grant.evidence[0]?.host }),
    pids: grant.evidence.map(({ pid }) => pid),
    ...given({ folder: grant.folder, run_id: grant.run_id, target_name: grant.target_name }),
    ...given({ lock_ref: grant.kind === 'path' ? grant.lock_ref : undefined }),
    ...given({ paths: grant.paths, reason: grant.lock_reason, shared: grant.shared, worktree: grant.worktree }),
    renewals: grant.renewals,
  }
}
