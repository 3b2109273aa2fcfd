import * as z from 'zod'
import type { LockState } from '../api/shapes/locks.ts'
import * as shapes from '../api/shapes/locks.ts'
import { LockstepError, messageOf } from '../errors.ts'
import { given } from '../kernel/given.ts'
import { limits } from '../kernel/limits.ts'
import type { Session } from './session.ts'
import { appendsOnce, ends, reads, type Tool, textsOf, tool, untrustedTexts } from './tool.ts'

const { lock_id, outcome } = shapes.release.shape
const lock_ids = z.array(lock_id).min(1).max(limits.toolItemsMax)

/** What became of each lock. One that was lost does not keep the others from being renewed or released. */
const answers = (done: 'released' | 'renewed') =>
  z.strictObject({
    locks: z.array(
      z.strictObject({
        lock_id: z.string(),
        outcome: z.enum([done, 'lost']),
        name: z.string().optional(),
        expires_at: z.string().optional(),
        message: z.string().optional(),
      }),
    ),
  })

const renewTool = tool({
  name: 'lock_renew',
  about: 'Extends the leases of your locks by their full length. Call it before they expire in long work.',
  annotations: appendsOnce,
  input: z.strictObject({ lock_ids: lock_ids }),
  output: answers('renewed'),
  run: async (session, { lock_ids }) => ({
    locks: await eachOf(session, lock_ids, async (lock_id) => {
      const { acquired, expires_at, name } = await session.api.locks.renew({ lock_id })
      const millis = Date.parse(expires_at) - Date.parse(acquired)
      session.keep({ lease_duration_s: Math.round(millis / 1000), lock_id })
      return { lock_id, outcome: 'renewed' as const, name, expires_at }
    }),
  }),
})

const releaseTool = tool({
  name: 'lock_release',
  about: 'Releases your locks as soon as the work under them is done. Who waits gets them at once.',
  annotations: ends,
  input: z.strictObject({
    lock_ids: lock_ids,
    outcome: outcome.describe('Of the work.'),
  }),
  output: answers('released'),
  run: async (session, { lock_ids, outcome }) => ({
    locks: await eachOf(session, lock_ids, async (lock_id) => {
      const { name } = await session.api.locks.release({ lock_id, outcome })
      session.forget(lock_id)
      return { lock_id, outcome: 'released' as const, name }
    }),
  }),
})

/** Whether an error says that a lock is no longer held. */
export function isLoss(error: unknown): error is LockstepError {
  return error instanceof LockstepError && losses.has(error.code)
}

const losses: ReadonlySet<string> = new Set(['LEASE_EXPIRED', 'LEASE_LOST', 'LOCK_NOT_HELD', 'STALE_TOKEN'])

/** Does the same for each lock. Errors: those that say nothing about the lock. */
function eachOf<Done>(session: Session, lock_ids: readonly string[], act: (lock_id: string) => Promise<Done>) {
  return Promise.all(
    [...new Set(lock_ids)].map((lock_id) =>
      act(lock_id).catch((error: unknown) => {
        if (!isLoss(error)) throw error
        session.forget(lock_id)
        return { lock_id, outcome: 'lost' as const, message: messageOf(error) }
      }),
    ),
  )
}

const { name } = shapes.ofLock.shape
const { folder } = shapes.ofFolder.shape
const state = shapes.status.pick({ holder_alive: true, state: true, token: true, waiting: true }).extend({
  name: z.string(),
  paths: z.array(z.string()).optional(),
  shared: z.boolean().optional(),
  held_name: z.string().optional(),
  held_since: z.string().optional(),
  lease_remaining_s: z.int().nullable().optional(),
  untrusted: untrustedTexts,
})

export const statusTool = tool({
  name: 'lock_status',
  about:
    'Shows locks without taking them: those that you name, or else all that are held. What cannot be read is an error, never free.',
  annotations: reads,
  input: z.strictObject({
    names: z
      .array(name)
      .min(1)
      .max(limits.toolItemsMax)
      .optional()
      .describe('Resources, or full names such as path:src/a.ts.'),
    folder: folder.optional().describe('A deliverable folder.'),
  }),
  output: z.strictObject({
    locks: z.array(state),
    truncated: z.boolean().describe('More locks are held.'),
  }),
  run: async (session, { folder, names }) => {
    const { api, fromHere } = session
    if (folder !== undefined && names !== undefined) {
      throw new LockstepError('INVALID_INPUT', 'lock_status: give either names or a folder, or neither')
    }
    if (folder !== undefined) return shown([await api.locks.status({ folder: fromHere(folder) })])
    if (names === undefined) return shown((await api.locks.list()).locks)
    return shown(await Promise.all(names.map((name) => stateOf(session, name))))
  },
})

/**
 * The state of a lock by its name. A resource or path that was never locked is free; a lock of another kind can have a
 * file that the ledger does not know, so it is an error.
 */
async function stateOf({ api }: Session, name: string): Promise<LockState> {
  try {
    return await api.locks.status({ name })
  } catch (error) {
    const kind = (['path', 'resource'] as const).find((one) => name.startsWith(`${one}:`))
    if (kind === undefined || !(error instanceof LockstepError) || error.code !== 'NOT_FOUND') throw error
    return { kind, last_seq: null, name, state: 'free', waiting: 0 }
  }
}

function shown(locks: readonly LockState[]) {
  return { locks: locks.slice(0, limits.toolItemsMax).map(viewOf), truncated: locks.length > limits.toolItemsMax }
}

/** A lock as models see it. */
function viewOf({ acquired, first_waiting, holder, lease_remaining_s, reason, worktree, ...state }: LockState) {
  const { held_name, holder_alive, name, paths, shared, state: is, token, waiting } = state
  return {
    name,
    state: is,
    waiting,
    ...given({ held_name, held_since: acquired, holder_alive, lease_remaining_s, paths, shared, token }),
    untrusted: textsOf({ holder, first_waiting: first_waiting?.holder, reason, worktree }),
  }
}

/** The tools for locks, besides the one that acquires them. */
export const lockTools: readonly Tool[] = [renewTool, releaseTool, statusTool]
