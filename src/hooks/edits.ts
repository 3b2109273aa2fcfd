import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import type { LockState } from '../api/shapes/locks.ts'
import { LockstepError } from '../errors.ts'
import { realPathOf, surroundingsOf } from '../files/paths/real-path.ts'
import type { Config } from '../kernel/config.ts'
import { given } from '../kernel/given.ts'
import type { Asked } from './asked.ts'
import { editPathsMax } from './event.ts'
import { isOfProcess, isOwn, isRefusal, isShown, renewed } from './own-locks.ts'
import { heldByOther, notEditable, notHeld } from './sentences.ts'
import type { Held } from './sessions.ts'

/** What an edit depends on besides its event. */
export interface Guard {
  /** Keeps what the session holds. */
  keep: () => void
  /** The canonical names of the locks of a path. */
  namesOf: (path: string) => string[]
  settings: Config['hooks']
}

/** A denial, and the code of its reason. */
export interface Denied {
  code: string
  kind: 'deny'
  text: string
}

type Edit = Asked<'before_tool'>

/**
 * Guards the files of an edit: renews the locks that the agent has, and takes those of files that nobody holds, or
 * refuses that edit, by the configuration. An edit of a file that another holds is denied. Files that no ledger governs
 * are free. Cost: one append for each lock; without a lock in the way nothing else is read.
 */
export async function beforeEdit(asked: Edit, guard: Guard): Promise<Denied | undefined> {
  const { actor, event, session } = asked
  const { paths } = event.tool
  if (session.isOrphaned && paths?.length !== 0) return denied('PID_NOT_FOUND', ended)
  if (paths === undefined) return denied('INVALID_INPUT', notEditable('the files that it changes cannot be read.'))
  const governed = paths.filter(isGoverned)
  if (governed.length > editPathsMax) {
    const why = `it changes more than ${editPathsMax} files. Make smaller edits.`
    return denied('LIMIT_EXCEEDED', notEditable(why))
  }
  const known = session.held.filter((held) => held.actor.actor_id === actor.actor_id && has(held, governed))
  const isKept = await Promise.all(known.map((held) => renewed(asked, held)))
  const lost = known.filter((_, at) => !isKept[at])
  if (lost.length > 0) session.held = session.held.filter((held) => !lost.includes(held))
  const kept = known.filter((_, at) => isKept[at])
  const wanted = governed.filter((path) => !kept.some((held) => held.paths.includes(path)))
  return wanted.length === 0 ? undefined : lockedFor(asked, wanted, guard)
}

const ended = notEditable('the process of this session has ended.')

const has = ({ paths }: Held, wanted: readonly string[]) => wanted.some((path) => paths.includes(path))

/** Whether any ledger governs a path. One that cannot be seen is governed until the ledger says otherwise. */
function isGoverned(path: string): boolean {
  try {
    const { link = path, real } = realPathOf(path)
    return [link, real].some((one) => surroundingsOf(dirname(one)).governing !== undefined)
  } catch {
    return true
  }
}

/** Takes the locks of files, all of them or none, where the configuration lets hooks do so. */
async function lockedFor(asked: Edit, paths: readonly string[], guard: Guard): Promise<Denied | undefined> {
  if (guard.settings.edits === 'strict') return demandHeld(asked, paths, guard)
  try {
    await take(asked, paths, guard)
    return undefined
  } catch (error) {
    if (!isRefusal(error, 'LOCK_CONTENTION') || !(await isOwn(asked, error))) return denialOf(asked, error)
  }
  // One of them is this agent's own under another name. The others are taken one by one.
  const before = new Set(asked.session.held)
  for (const path of paths.length === 1 ? [] : paths) {
    try {
      await take(asked, [path], guard)
    } catch (error) {
      if (isRefusal(error, 'LOCK_CONTENTION') && (await isOwn(asked, error))) continue
      await release(
        asked,
        asked.session.held.filter((held) => !before.has(held)),
        guard.keep,
      )
      return denialOf(asked, error)
    }
  }
  return undefined
}

async function take({ actor, api, event, session }: Edit, paths: readonly string[], { keep, settings }: Guard) {
  const { agent_id, tool } = event
  const lock_id = `lck_${randomBytes(24).toString('base64url')}`
  const held: Held = { actor, ...given({ agent_id }), lock_id, paths: [...paths] }
  // It is kept before it is asked for, so that a service that starts anew can release it.
  session.held.push(held)
  keep()
  try {
    await api.locks.acquire({
      holder: actor.actor_id,
      lease_duration_s: settings.auto_lease_s,
      lock_id,
      paths: [...paths],
      pids: session.process === undefined ? [] : [session.process.pid],
      reason: `edits it with ${tool.name}`,
    })
  } catch (error) {
    session.held = session.held.filter((one) => one !== held)
    keep()
    throw error
  }
}

/** Releases locks. A grant that has ended needs no release. */
export async function release(
  { api, session }: Pick<Asked, 'api' | 'session'>,
  ending: readonly Held[],
  keep: () => void,
): Promise<void> {
  if (ending.length === 0) return
  session.held = session.held.filter((held) => !ending.includes(held))
  await Promise.all(
    ending.map(({ actor, lock_id }) =>
      api.locks.release({ actor, lock_id }).catch((error: unknown) => {
        if (!isRefusal(error, 'LOCK_NOT_HELD', 'LEASE_LOST')) throw error
      }),
    ),
  )
  keep()
}

/** Without locks by hooks: the agent must hold every file. */
async function demandHeld(asked: Edit, paths: readonly string[], { namesOf }: Guard): Promise<Denied | undefined> {
  try {
    for (const name of paths.flatMap(namesOf)) {
      const status = await asked.api.locks.status({ name })
      if (isOfProcess(asked, status) || (await isShown(asked, status))) continue
      if (status.state === 'held') return denied('LOCK_CONTENTION', heldByOther(inTheWay(status, status)))
      return denied('LOCK_NOT_HELD', notHeld(pathIn(name)))
    }
    return undefined
  } catch (error) {
    return denialOf(asked, error)
  }
}

/** The denial that a refusal means. Errors of the ledger itself are thrown on: they are no answer. */
async function denialOf(asked: Edit, error: unknown): Promise<Denied> {
  if (!(error instanceof LockstepError)) throw error
  switch (error.code) {
    case 'LOCK_CONTENTION': {
      const status = await asked.api.locks.status({ name: String(error.details.name) })
      return denied(error.code, heldByOther(inTheWay(error.details, status)))
    }
    case 'PID_NOT_FOUND':
      return denied(error.code, ended)
    case 'INVALID_INPUT':
    case 'LIMIT_EXCEEDED':
    case 'LOCK_PLACEMENT':
      return denied(error.code, notEditable(`${error.message}.`))
    default:
      throw error
  }
}

function inTheWay(report: Readonly<Record<string, unknown>> | LockState, { waiting }: LockState) {
  const {
    acquired,
    held_name,
    held_since = acquired,
    holder,
    holder_alive,
    lease_remaining_s,
    name,
    reason,
    token,
  } = report as Partial<Omit<LockState, 'token'>> & { held_since?: string; token?: number | null }
  return {
    alive: holder_alive ?? 'unknown',
    held: pathIn(held_name ?? name ?? ''),
    // A report of the callers in line names no grant.
    holder: token === null ? undefined : holder,
    nowMillis: Date.now(),
    path: pathIn(name ?? ''),
    reason,
    remaining: lease_remaining_s,
    since: held_since,
    waiting,
  }
}

const pathIn = (name: string) => name.replace(/^path:/, '')

function denied(code: string, text: string): Denied {
  return { code, kind: 'deny', text }
}
