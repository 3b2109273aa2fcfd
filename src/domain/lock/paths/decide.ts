import { invariant } from '../../../errors.ts'
import { type Context, type Decision, type LoadedState, type Refusal, refuse } from '../../../kernel/decider.ts'
import type { Entry, EventDraft } from '../../../kernel/entry.ts'
import { limits } from '../../../kernel/limits.ts'
import type { Acquire, Break, HolderSeen, PathsWanted, Recover } from '../commands.ts'
import { deniedBreak } from '../decide-endings.ts'
import type { LockEvent, LockEventData, RecoveryReason } from '../events.ts'
import { kindOf, nameOfPath, pathLine, pathOf, streamOfPaths } from '../names.ts'
import { acquiredEvent, brokenEvent, recoveredEvent, refusedEvent } from '../record.ts'
import { contended, contention, contentionWithWaiters } from '../report.ts'
import { type Grant, isOwn, type LockState, orphanReason, seqOfGrant } from '../state.ts'
import { placeOf } from './path.ts'
import { type InTheWay, PathTree } from './tree.ts'

/** The rows by which the grants of a path are found. */
export type Rows = Pick<LoadedState, 'get' | 'state'>

/** An acquisition of paths. */
export type AcquirePaths = Acquire & { paths: PathsWanted }

/**
 * All paths or none. Refusals, in order: IDEMPOTENCY_MISMATCH (this lock_id was used with different content),
 * LOCK_ENDED (its grant has ended), LOCK_CONTENTION with the holder of a path in the way, LIMIT_EXCEEDED (a path has too
 * many shared grants), LOCK_CONTENTION with waiters. Orphans in the way are recovered in the same append.
 */
export function decideAcquirePaths(command: AcquirePaths, context: Context, rows: LoadedState): Decision<LockEvent> {
  const earlier = earlierAnswer(command, context, grantsUnder(rows, command.lock_ref))
  if (earlier !== undefined) return earlier
  const { paths, shared } = command.paths
  const tree = new PathTree(rows.state)
  const ended: LockEvent[] = []
  for (const { found, name } of inTheWayOf(tree, command.paths)) {
    const grant = grantOf(rows, found)
    const [orphan] = orphansAmong([grant], command.paths.holders, context)
    if (orphan !== undefined && ended.length < limits.orphansPerAcquireMax) {
      ended.push(recoveredBy(context, orphan))
      continue
    }
    const refusal = contended(reportOn(grant, found, { ...command.paths, name }, context), command, context)
    // The orphans up to the limit are recovered, so that the next attempt gets further.
    return orphan === undefined ? refusal : { kind: 'append', events: ended, refusal }
  }
  for (const name of shared ? paths.map(nameOfPath) : []) {
    const grants = grantsAt(tree, rows, name)
    if (grants.length < limits.sharedGrantsMax) continue
    const orphans = orphansAmong(grants, command.paths.holders, context)
    if (orphans.length === 0) return tooManyShared(name)
    ended.push(...orphans.map((orphan) => recoveredBy(context, orphan)))
  }
  const waiting = context.waiting(pathLine, command.paths)
  if (waiting > 0) return contended(contentionWithWaiters(command.name, waiting, context.now), command, context)
  const previous = paths.map((path) => tree.node(placeOf(path)).last)
  return { kind: 'append', events: [...ended, acquiredEvent(command, context, previous)] }
}

/**
 * Ends the orphans of exactly this path. Refusals: LOCK_NOT_ORPHAN, if the path is free or its grants are valid. For a
 * valid grant, also of a subtree above the path, it has the contention report.
 */
export function decideRecoverPath(command: Recover, context: Context, rows: LoadedState): Decision<LockEvent> {
  const { holders = [], name, reason } = command
  const tree = new PathTree(rows.state)
  const grants = grantsAt(tree, rows, name)
  const events = orphansAmong(grants, holders, context).map((orphan) => recoveredBy(context, orphan, reason))
  if (events.length > 0) return { kind: 'append', events }
  const [found] = tree.covering(pathOf(name), { shared: false })
  if (found === undefined) return refuse('LOCK_NOT_ORPHAN', `${name} is free; there is nothing to recover`, { name })
  const report = reportOn(grantOf(rows, found), found, { holders, name }, context)
  const advice = grants.length > 0 ? 'only orphans can be recovered' : 'recover that lock, if it is an orphan'
  return { ...report, code: 'LOCK_NOT_ORPHAN', message: `${report.message}; ${advice}` }
}

/**
 * Ends all grants of exactly this path, with all their other paths. Refusals, in order, both recorded: RELEASE_DENIED,
 * LOCK_NOT_HELD (no grant has exactly this path; the message names the subtree above that is held).
 */
export function decideBreakPath(command: Break, context: Context, rows: LoadedState): Decision<LockEvent> {
  const denied = deniedBreak(command, context)
  if (denied !== undefined) return denied
  const { name, reason } = command
  const tree = new PathTree(rows.state)
  const by = context.actor.actor_id
  const events = grantsAt(tree, rows, name).map((grant) => brokenEvent(grant, { by, reason }))
  if (events.length > 0) return { kind: 'append', events }
  const [found] = tree.covering(pathOf(name), { shared: false })
  const message = found === undefined ? `${name} is free` : `${name} is held with ${nameOfPath(found.path)}; break that`
  const record = refusedEvent(name, { code: 'LOCK_NOT_HELD', command: command.type, message })
  return refuse('LOCK_NOT_HELD', message, { name }, record)
}

/** The changes that the events of a decision make to the rows of places. */
export function withRows(decision: Decision<LockEvent>, rows: LoadedState): Decision<LockEvent> {
  if (decision.kind !== 'append') return decision
  const tree = new PathTree(rows.state)
  for (const event of decision.events) takeEvent(tree, event)
  return { ...decision, changes: tree.changes }
}

/** Applies an event to the rows of places, if it is the grant of paths or the end of one. */
export function takeEvent(tree: PathTree, { data, type }: Pick<Entry | EventDraft, 'data' | 'type'>): void {
  const { lock_ref, name, paths } = data as Partial<LockEventData<'lock.released'>>
  if (!changesPaths(type) || lock_ref === undefined || name === undefined || kindOf(name) !== 'path') return
  for (const path of paths ?? [pathOf(name)]) {
    if (type === 'lock.acquired') tree.hold(path, { is_shared: data.shared === true, lock_ref })
    else tree.free(path, lock_ref)
  }
}

/** Whether events of a type can change the rows of places. */
export function changesPaths(type: string): boolean {
  return type === 'lock.acquired' || type === 'lock.released' || type === 'lock.recovered' || type === 'lock.broken'
}

/** The grants that exclude a request, each once, with the name of the path that it excludes. */
export function* inTheWayOf(
  tree: PathTree,
  { paths, shared }: Pick<PathsWanted, 'paths' | 'shared'>,
): Generator<{ found: InTheWay; name: string }> {
  const seen = new Set<string>()
  for (const path of paths) {
    for (const found of tree.inTheWayOf(path, { shared })) {
      if (seen.has(found.lock_ref)) continue
      seen.add(found.lock_ref)
      yield { found, name: nameOfPath(path) }
    }
  }
}

/**
 * The state of the grant that a path and a token name, for a guard or a run. Without such a token it is that of the first
 * grant of the path; undefined if it has none.
 */
export function stateAt(rows: Rows, name: string, token?: number): LockState | undefined {
  const refs = new PathTree(rows.state).node(placeOf(pathOf(name))).held.map(({ lock_ref }) => lock_ref)
  const states = refs.map((lockRef) => grantsUnder(rows, lockRef))
  return states.find((state) => state?.grant?.token === token) ?? states[0]
}

/** The earlier result of this same acquisition. A lock_id has one grant of paths, so another use of it is refused. */
function earlierAnswer(
  command: AcquirePaths,
  context: Context,
  state: LockState | undefined,
): Decision<LockEvent> | undefined {
  if (state === undefined) return undefined
  const { holder, lease_duration_s, lock_ref, name, paths } = command
  const { ended, grant } = state
  if (grant !== null && isOwn(grant, lock_ref, context.actor)) {
    const seq = seqOfGrant(grant)
    const isSame =
      grant.holder === holder &&
      grant.lease_duration_s === lease_duration_s &&
      (grant.shared === true) === paths.shared &&
      grant.paths?.join('\n') === paths.paths.join('\n')
    return isSame ? { kind: 'repeat', seq } : mismatch(grant.name, { name: grant.name, seq })
  }
  if (ended?.actor_id !== context.actor.actor_id) return mismatch(name, { name })
  const { token } = ended
  const message = `${name} was granted under this lock_id with token ${token}, and that grant has ended`
  return refuse('LOCK_ENDED', message, { name, token })
}

function mismatch(name: string, details: { name: string; seq?: number }): Refusal {
  const at = details.seq === undefined ? '' : ` at seq ${details.seq}`
  return refuse('IDEMPOTENCY_MISMATCH', `this lock_id was used for ${name}${at}, with different content`, details)
}

function tooManyShared(name: string): Refusal {
  const max = limits.sharedGrantsMax
  return refuse('LIMIT_EXCEEDED', `${name} has ${max} shared grants, which is the most that one path can have`, {
    name,
  })
}

function reportOn(
  grant: Grant,
  { path }: InTheWay,
  { holders, name }: Pick<PathsWanted, 'holders'> & { name: string },
  { now }: Context,
): Refusal {
  const alive = holders.find(({ token }) => token === grant.token)?.alive ?? 'unknown'
  return contention(grant, now, alive, { held: nameOfPath(path), name })
}

interface Orphan {
  grant: Grant
  recovery_reason: RecoveryReason
}

/** The grants that are orphans, by their leases or by what was seen of their holders. */
function orphansAmong(grants: readonly Grant[], holders: readonly HolderSeen[], { now }: Context): Orphan[] {
  return grants.flatMap((grant) => {
    const seen = holders.find(({ token }) => token === grant.token)
    const recovery_reason = orphanReason(grant, seen?.alive === 'no' ? seen.reason : undefined, now)
    return recovery_reason === undefined ? [] : [{ grant, recovery_reason }]
  })
}

/** The end of an orphan: with a reason it is a person's own, otherwise part of an acquisition. */
function recoveredBy({ actor }: Context, { grant, recovery_reason }: Orphan, reason: string | null = null): LockEvent {
  const mode = reason === null ? 'automatic' : 'manual'
  return recoveredEvent(grant, { by: actor.actor_id, mode, reason, recovery_reason })
}

export function grantsUnder(rows: Rows, lockRef: string): LockState | undefined {
  return rows.get(streamOfPaths(lockRef))?.state as LockState | undefined
}

/** The grants of exactly this path, as a file or as a subtree. */
function grantsAt(tree: PathTree, rows: LoadedState, name: string): Grant[] {
  return tree.at(placeOf(pathOf(name))).map((found) => grantOf(rows, found))
}

function grantOf(rows: LoadedState, { lock_ref, path }: InTheWay): Grant {
  const grant = grantsUnder(rows, lock_ref)?.grant
  invariant(grant, `${path} is held by a grant that is current`)
  return grant
}
