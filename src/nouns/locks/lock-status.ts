import { realpathSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'
import type { z } from 'zod'
import type { LockState as LockStatus, list } from '../../api/shapes/locks.ts'
import { streamOf } from '../../domain/lock/names.ts'
import { type Grant, type LockState, leaseRemainingSeconds, orphanReason } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import type { DeliverableFolder } from '../../files/deliverable/deliverable-folder.ts'
import { findingOf, type LockFileVerdict } from '../../files/deliverable/lock-file-verdict.ts'
import { given } from '../../kernel/given.ts'
import type { Core } from '../../writer/core.ts'
import { livenessOf } from '../../writer/holders.ts'

/** Errors: NOT_FOUND if the ledger has no entry of this lock. */
export async function statusOf(core: Core, name: string): Promise<LockStatus> {
  const row = await core.views.row(streamOf(name))
  if (row === undefined) throw new LockstepError('NOT_FOUND', `${name} was never locked`, { details: { name } })
  return describe(core, row.state as LockState, row.last_seq)
}

/**
 * Lists held locks by name. `orphans` keeps only locks whose holder is gone, or whose project file differs from the
 * ledger. `under` keeps only locks in a folder below the root. Cost: one pass over the rows of locks.
 */
export async function listLocks(
  core: Core,
  { orphans, under }: z.output<typeof list>,
  projectOrphan: (grant: Grant) => Promise<string | undefined>,
): Promise<LockStatus[]> {
  const prefix = under === undefined ? undefined : prefixOf(core.layout.root, under)
  const listed: LockStatus[] = []
  for await (const [, row] of core.views.rows(streamOf(''))) {
    const state = row.state as LockState
    const { grant } = state
    if (grant === null || (prefix !== undefined && !isUnder(grant, prefix))) continue
    const status = describe(core, state, row.last_seq)
    const finding = orphans && grant.kind === 'project' ? await projectOrphan(grant) : undefined
    if (finding !== undefined) Object.assign(status, { state: 'orphan', orphan_reason: finding })
    if (!orphans || status.state === 'orphan') listed.push(status)
  }
  return listed
}

/** Errors: INVALID_INPUT for a folder outside the root. An empty list would suggest that the folder has no locks. */
function prefixOf(root: string, folder: string): string {
  const real = realPath(folder)
  const prefix = relative(root, real).split(sep).join('/')
  if (prefix === '..' || prefix.startsWith('../')) {
    throw new LockstepError('INVALID_INPUT', `${real} is outside ${root}, the root of this ledger`)
  }
  return prefix
}

/**
 * Resolves links, as the ledger's root is resolved. A folder that was deleted may still have locks, so it is
 * accepted.
 */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(realPath(parent), basename(path))
  }
}

function isUnder({ folder }: Grant, prefix: string): boolean {
  return folder !== undefined && (prefix === '' || folder === prefix || folder.startsWith(`${prefix}/`))
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

function describe(core: Core, { grant, kind, name }: LockState, lastSeq: number): LockStatus {
  const line = core.waiters.lineOf(streamOf(name))
  if (grant === null) return { name, kind, state: 'free', ...line, last_seq: lastSeq }
  const now = core.now()
  const liveness = livenessOf(grant)
  const reason = orphanReason(grant, liveness.alive === 'no' ? liveness.reason : undefined, now)
  return {
    name,
    kind,
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
    renewals: grant.renewals,
    ...line,
    last_seq: lastSeq,
  }
}
