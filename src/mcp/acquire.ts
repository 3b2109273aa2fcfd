import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { nanoid } from 'nanoid'
import * as z from 'zod'
import type { Grant } from '../api/shapes/locks.ts'
import * as shapes from '../api/shapes/locks.ts'
import type { LockContention } from '../domain/lock/contention-schema.ts'
import { LockstepError } from '../errors.ts'
import { given } from '../kernel/given.ts'
import { limits } from '../kernel/limits.ts'
import type { Call, Session } from './session.ts'
import { appendsOnce, textsOf, tool, untrustedTexts } from './tool.ts'

const { folder } = shapes.acquireDeliverable.shape
const { lease_duration_s, lock_id, reason } = shapes.acquireResource.shape
const { paths } = shapes.acquirePaths.shape
const { names } = shapes.acquireAll.shape
const seconds = z.int().min(0)

const input = z.strictObject({
  paths: paths.optional().describe('Files, and folders that end in /. All or none.'),
  shared: z.boolean().default(false).describe('Share the paths with readers.'),
  names: names.optional().describe('Resources, all or none.'),
  folder: folder.optional().describe('A deliverable folder.'),
  lease_s: lease_duration_s.unwrap().optional().describe('Seconds until they end, unless renewed. Default 1800.'),
  wait_s: seconds.max(limits.toolWaitSecondsMax).default(0).describe('Seconds to wait in line.'),
  reason: reason.describe('Why, for others.'),
  lock_id: lock_id.describe('Of an earlier answer, to continue that acquisition.'),
})
type Input = z.output<typeof input>

/** Who holds a lock that was asked for. */
const held = z.strictObject({
  name: z.string(),
  holder_alive: z.enum(['no', 'unknown', 'yes']),
  held_since: z.string().nullable(),
  lease_remaining_s: seconds.nullable(),
  retry_after_s: seconds,
  untrusted: untrustedTexts,
})

const output = z.strictObject({
  outcome: z.enum(['granted', 'contended', 'queued']),
  lock_id: z.string(),
  grants: z
    .array(
      z.strictObject({
        name: z.string(),
        paths: z.array(z.string()).optional(),
        lock_id: z.string(),
        token: seconds,
        expires_at: z.string().nullable(),
      }),
    )
    .optional(),
  held: held.optional(),
  next: z.string(),
})
type Output = z.input<typeof output>

export const acquireTool = tool({
  name: 'lock_acquire',
  about:
    'Takes locks before you change what others share. Contention is an answer: granted, contended, or queued (your place in line is kept for 60 s).',
  annotations: appendsOnce,
  input,
  output,
  run: async (session, asked, call): Promise<Output> => {
    const acquisition = acquisitionOf(session, asked)
    const lock_id = asked.lock_id ?? `lck_${nanoid(32)}`
    const first = await attempt(acquisition, lock_id)
    if ('grants' in first) return granted(session, lock_id, first.grants)
    const contended = { outcome: 'contended', lock_id, held: first.held } as const
    if (first.isOwn(session)) return { ...contended, next: nextOf.own }
    if (asked.wait_s === 0 && !session.places.has(lock_id)) return { ...contended, next: nextOf.contended }
    const waited = await inLine({ acquisition, call, lock_id, session, wait_s: asked.wait_s })
    if (waited !== undefined) return granted(session, lock_id, waited)
    const outcome = acquisition.wait === undefined ? 'contended' : 'queued'
    return { ...contended, outcome, next: nextOf[outcome] }
  },
})

const nextOf = {
  granted: 'Do the work, then call lock_release with the lock_id of each grant. lock_renew extends the lease.',
  contended:
    'Do not change it in any other way, the shell included. Take other work, or call again with this lock_id and wait_s.',
  own: 'This session holds it already, by a hook or an earlier call. Do the work.',
  queued: 'Call again within 60 s with the same arguments and this lock_id to keep your place in line.',
} as const

/** One acquisition: how it is tried, and how its line is waited in. Several names have no line. */
interface Acquisition {
  what: string
  once: (lock_id: string) => Promise<readonly Grant[]>
  wait?: (lock_id: string, signal: AbortSignal) => Promise<Grant>
  release: (lock_id: string) => Promise<unknown>
}

/** Errors: INVALID_INPUT, unless the input names exactly one kind of thing to lock. */
function acquisitionOf(session: Session, { folder, lease_s, names, paths, reason, shared }: Input): Acquisition {
  const { api, fromHere, holder, pids } = session
  const kinds = [folder, names, paths].filter((kind) => kind !== undefined)
  if (kinds.length !== 1) throw new LockstepError('INVALID_INPUT', 'lock_acquire: give one of paths, names and folder')
  if (shared && paths === undefined) throw new LockstepError('INVALID_INPUT', 'lock_acquire: only paths can be shared')
  const terms = {
    holder,
    ...given({ lease_duration_s: lease_s, pids: pids.length > 0 ? pids : undefined, reason }),
  }
  const [name = '', ...more] = new Set(names)
  if (more.length > 0) {
    const all = [name, ...more]
    const idsOf = (lock_id: string) => all.map((one) => derivedId(lock_id, one))
    const once = (lock_id: string) => api.locks.acquireAll({ ...terms, names: all, lock_ids: idsOf(lock_id) })
    return { what: JSON.stringify(all), once: async (lock_id) => (await once(lock_id)).grants, release: async () => {} }
  }
  const asked = { folder: folder && fromHere(folder), name: names && name, paths: paths?.map(fromHere) }
  const of = { ...given(asked), ...(paths === undefined ? {} : { shared }) }
  const acquire = (lock_id: string, wait_s: number, signal?: AbortSignal) =>
    // The ledger says what a deliverable needs besides.
    api.locks.acquire({ ...terms, ...of, lock_id, wait_s } as shapes.AcquireResource, given({ signal }))
  return {
    what: JSON.stringify(of),
    once: async (lock_id) => [await acquire(lock_id, 0)],
    wait: (lock_id, signal) => acquire(lock_id, limits.waitSecondsMax, signal),
    release: async (lock_id) => {
      const { locks } = await api.locks.list()
      // A release of a lock that nobody has is an entry, so it is tried only where there can be a grant.
      if (locks.some((lock) => lock.holder === holder)) await api.locks.release({ lock_id, outcome: 'failure' })
    },
  }
}

/** The lock_id of one of several locks: the same in each attempt of the acquisition. */
function derivedId(lock_id: string, name: string): string {
  return `lck_${createHash('sha256').update(`${lock_id}\0${name}`).digest('base64url')}`
}

interface Contended {
  held: z.input<typeof held>
  /** Whether the holder is this session. Anybody can take its name, but not its process. */
  isOwn: (session: Session) => boolean
}
type Attempt = { grants: readonly Grant[] } | Contended

async function attempt({ once }: Acquisition, lock_id: string): Promise<Attempt> {
  try {
    return { grants: await once(lock_id) }
  } catch (error) {
    if (!isContention(error)) throw error
    return heldBy(error)
  }
}

/** A lock that only a person can end is no contention, since waiting for it is of no use. */
function isContention(error: unknown): error is LockstepError {
  return error instanceof LockstepError && error.code === 'LOCK_CONTENTION' && error.retryable
}

function heldBy({ details }: LockstepError): Contended {
  const report = details as Omit<LockContention, 'code'>
  const { acquired = null, holder, pid, reason } = report
  const held = {
    name: report.held_name ?? report.name,
    held_since: report.held_since ?? acquired,
    holder_alive: report.holder_alive,
    lease_remaining_s: report.lease_remaining_s,
    retry_after_s: report.retry_after_s ?? 1,
    untrusted: textsOf({ holder, reason }),
  }
  return { held, isOwn: (session) => holder === session.holder && session.pids.includes(pid ?? 0) }
}

interface InLine {
  acquisition: Acquisition
  call: Call
  lock_id: string
  session: Session
  wait_s: number
}

/** Waits for the lock and tells the client so. Undefined if it was not granted in time. */
async function inLine(asked: InLine): Promise<readonly Grant[] | undefined> {
  const { acquisition, call, lock_id, session, wait_s } = asked
  const startedAt = performance.now()
  const passed = () => Math.round((performance.now() - startedAt) / 1000)
  call.progress(0, wait_s)
  const telling = setInterval(() => call.progress(passed(), wait_s), limits.toolProgressMillis)
  try {
    const { release, wait, what } = acquisition
    if (wait === undefined) return await polled(asked)
    const place = {
      what,
      wait: (signal: AbortSignal) => wait(lock_id, signal),
      release: () => release(lock_id),
    }
    const grant = await session.places.take(lock_id, place, { seconds: wait_s, signal: call.signal })
    return grant && [grant]
  } finally {
    clearInterval(telling)
  }
}

const pollMillis = 500

/** Several names have no common line, so they are asked for again and again. */
async function polled({ acquisition, call, lock_id, wait_s }: InLine): Promise<readonly Grant[] | undefined> {
  const until = performance.now() + wait_s * 1000
  while (performance.now() < until) {
    await pause(pollMillis, undefined, { signal: call.signal }).catch(() => {
      throw new LockstepError('ABORTED', 'the caller gave up waiting')
    })
    const again = await attempt(acquisition, lock_id)
    if ('grants' in again) return again.grants
  }
  return undefined
}

/** Errors: LOCK_ENDED, for a repeated acquisition whose grant has ended. */
function granted(session: Session, lock_id: string, all: readonly Grant[]): Output {
  session.places.drop(lock_id)
  const ended = all.find(({ current }) => !current)
  if (ended !== undefined) {
    const message = `${ended.name} was granted to this lock_id earlier, and that grant has ended`
    throw new LockstepError('LOCK_ENDED', message, { hint: 'Leave lock_id out for a new acquisition.' })
  }
  for (const grant of all) session.keep(grant)
  const grants = all.map(({ expires_at, lock_id, name, paths, token }) => {
    return { name, ...given({ paths }), lock_id, token, expires_at }
  })
  return { outcome: 'granted', lock_id, grants, next: nextOf.granted }
}
