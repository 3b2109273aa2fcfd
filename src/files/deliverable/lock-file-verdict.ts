import { join } from 'node:path'
import { probeFileHolder, probeFilePid } from '../../disk/process.ts'
import type { FileOrphan } from '../../domain/lock/commands.ts'
import type { Liveness } from '../../domain/lock/liveness.ts'
import {
  fileOrphanReason,
  isCutFile,
  type LockFile,
  lockFileName,
  unknownVersionOf,
} from '../../domain/lock/lock-file.ts'
import { streamOf } from '../../domain/lock/names.ts'
import { boundElsewhere, contention, contentionWithFile, type FileFinding } from '../../domain/lock/report.ts'
import { type Grant, type LockState, orphanReason } from '../../domain/lock/state.ts'
import type { Refusal } from '../../kernel/decider.ts'
import type { Core } from '../../writer/core.ts'
import { deathOfHolder } from '../../writer/holders.ts'
import { lockStateOf } from '../../writer/lock-rows.ts'
import type { DeliverableFolder } from './deliverable-folder.ts'
import { inspect, type Seen } from './lock-file.ts'

/** The judgement of a folder's lock file against the ledger. */
export type LockFileVerdict =
  | { kind: 'free' }
  /** The caller's own current grant. */
  | { kind: 'own'; grant: Grant; seen: Seen | undefined }
  /** A current grant of another holder. */
  | { kind: 'held'; grant: Grant; seen: Seen | undefined }
  /** The lock's name is bound to another folder. */
  | { kind: 'elsewhere'; refusal: Refusal }
  /**
   * A file that must not be touched: another tool's file that is not an orphan, an unknown schema version, or the
   * file of another lock.
   */
  | { kind: 'foreign'; refusal: Refusal; seen: Seen }
  /** A truncated or incomplete file, or one that is not JSON. Only `recover` moves it. */
  | { kind: 'unreadable'; refusal: Refusal; seen: Seen }
  /** A file that can be set aside. `orphan` is set if no grant explains the file. */
  | { kind: 'orphan'; seen: Seen; orphan: FileOrphan | undefined }

/** Judges a folder's lock file without changing anything. `own` identifies the calling acquisition. */
export async function judge(
  core: Core,
  place: DeliverableFolder,
  own?: { lock_ref: string; actor_id: string },
): Promise<LockFileVerdict> {
  const state = await lockStateOf(core, place.name)
  if (state?.folder && state.folder !== place.folder) {
    const where = { bound: state.folder, asked: place.folder, holder: state.grant }
    return { kind: 'elsewhere', refusal: boundElsewhere(place.name, where) }
  }
  const seen = await inspect(place.lock)
  const grant = state?.grant ?? null
  if (grant !== null && !(await isOrphan(core, grant))) {
    const isOwn = grant.lock_ref === own?.lock_ref && grant.actor_id === own.actor_id
    return { kind: isOwn ? 'own' : 'held', grant, seen }
  }
  if (seen === undefined) return { kind: 'free' }
  if (grant !== null && isFileOf(core, grant, seen)) return { kind: 'orphan', seen, orphan: undefined }
  const moved = await movedGrant(core, place, seen)
  if (moved !== undefined) return { kind: 'foreign', refusal: await contentionWithMoved(core, moved, place), seen }
  return judgeUnexplained(core, place, seen)
}

/** Whether this is the file of a grant, or what a crash of the machine left of it. */
function isFileOf(core: Core, grant: Grant, { content, text }: Seen): boolean {
  if (content !== undefined) return content.lock_ref === grant.lock_ref
  return isCutFile(text, grant, core.log.meta.origin)
}

/**
 * Finds the current grant of another name that this file belongs to. This happens when the folder was renamed while
 * locked, its execution root got another prefix, or it is mounted twice. The holder then works in this folder. A
 * copied file does not count: the grant's folder still has its own file. Cost: one pass over the rows of
 * deliverables, but only if a file of this ledger does not belong to its name's grant, for example after a crash.
 */
export async function movedGrant(
  core: Core,
  place: DeliverableFolder,
  { content, ino }: Seen,
): Promise<Grant | undefined> {
  if (content?.lock_ref === undefined || content.ledger !== core.log.meta.origin) return undefined
  for await (const [, row] of core.views.rows(streamOf('deliverable:'))) {
    const { grant } = row.state as LockState
    if (grant?.lock_ref !== content.lock_ref || grant.name === place.name || (await isOrphan(core, grant))) continue
    if (grant.folder === place.folder) return grant
    const own = await inspect(join(core.layout.root, grant.folder ?? '', lockFileName)).catch(() => undefined)
    return own?.content?.lock_ref === grant.lock_ref && own.ino !== ino ? undefined : grant
  }
  return undefined
}

/** The report names the lock that was attempted, as REQ-LOCK-007 demands, and the lock that is held. */
async function contentionWithMoved(core: Core, grant: Grant, place: DeliverableFolder): Promise<Refusal> {
  const { deliverable_id, folder, lock: path, name } = place
  const { holder_alive = 'unknown' } = await deathOfHolder(core, grant.name)
  const refusal = contention(grant, core.now(), holder_alive)
  const held = grant.folder === undefined ? {} : { held_folder: grant.folder }
  const message = `${name} is in a folder that is locked as another: ${refusal.message}; its file is in ${folder}`
  return {
    ...refusal,
    message,
    details: { ...refusal.details, name, deliverable_id, held_name: grant.name, ...held, path },
  }
}

/**
 * Judges a file that no grant explains: left by a crash of this ledger, an orphan or a held lock of another tool, or
 * unreadable.
 */
function judgeUnexplained(core: Core, place: DeliverableFolder, seen: Seen): LockFileVerdict {
  const { content } = seen
  const now = core.now()
  const refusal = contentionWithFile(findingOf(core, place, seen), now)
  if (content === undefined) {
    const version = unknownVersionOf(seen.text)
    if (version === undefined) return { kind: 'unreadable', refusal, seen }
    const message = `${refusal.message}; its schema version ${version} is unknown, so only an operator can move it away`
    const { retry_after_s: _, ...details } = refusal.details
    return { kind: 'foreign', refusal: { ...refusal, message, details: { ...details, retryable: false } }, seen }
  }
  const isOurs = content.ledger === core.log.meta.origin
  const reason = isOurs ? ('unrecorded' as const) : fileOrphanReason(content, now.wall_ms, livenessIn(content))
  if (reason === undefined) return { kind: 'foreign', refusal, seen }
  const orphan: FileOrphan = {
    previous_acquired: content.acquired,
    previous_holder: content.holder,
    recovery_reason: reason,
  }
  return { kind: 'orphan', seen, orphan }
}

/** What a contention report says about a file: another tool's, unreadable, or gone meanwhile. */
export function findingOf(core: Core, place: DeliverableFolder, seen: Seen | undefined): FileFinding {
  const { deliverable_id, lock: path, name } = place
  const where = { name, deliverable_id, path }
  const content: LockFile | undefined = seen?.content
  if (content === undefined) {
    const holder = seen === undefined ? 'missing' : 'unreadable'
    return { ...where, holder, acquired: null, lease_remaining_s: 0, pid: null, holder_alive: 'unknown' }
  }
  const { acquired, holder, lease_duration_s, pid } = content
  const remainingMillis = Date.parse(acquired) + lease_duration_s * 1000 - core.now().wall_ms
  return {
    ...where,
    holder,
    acquired,
    lease_remaining_s: Math.max(0, Math.ceil(remainingMillis / 1000)),
    pid,
    holder_alive: livenessIn(content).alive,
  }
}

/**
 * Whether the holder that a file names is alive, by its evidence or, without evidence, by its bare pid and the
 * namespace that it records (ADR 0059).
 */
function livenessIn({ acquired, evidence = [], pid, pid_ns }: LockFile): Liveness {
  if (evidence.length > 0) return probeFileHolder(evidence, Date.parse(acquired))
  return probeFilePid(pid, typeof pid_ns === 'string' ? pid_ns : null)
}

async function isOrphan(core: Core, grant: Grant): Promise<boolean> {
  return orphanReason(grant, (await deathOfHolder(core, grant.name)).death?.reason, core.now()) !== undefined
}
