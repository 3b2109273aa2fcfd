import * as z from 'zod'
import { isWellFormed } from '../../kernel/canonical.ts'
import { isoSeconds } from '../../kernel/clock.ts'
import type { Entry } from '../../kernel/entry.ts'
import { wallTimeOf } from '../../kernel/entry-time.ts'
import { readJson } from '../../kernel/json.ts'
import { limits } from '../../kernel/limits.ts'
import { finalStatuses, type LockEventData } from './events.ts'
import { isoMillis } from './iso-time.ts'

export const runLockFileName = 'RUN_LOCK.json'

const text = z
  .string()
  .min(1)
  .max(limits.reasonChars)
  .refine((value) => isWellFormed(value))

const isoText = z
  .string()
  .max(64)
  .refine((value) => isoMillis(value) !== undefined)

/** The members that never change. `status` is not one of them. */
const unchanging = {
  target_name: text,
  run_id: text,
  lock_owner: text,
  lock_time: z.iso.datetime({ offset: true }),
  lock_reason: text,
  release_conditions: z.array(text).max(100),
}

/** The content of RUN_LOCK.json: seven members while LOCKED, and three more when RELEASED. */
export const runLockSchema = z.discriminatedUnion('status', [
  z.strictObject({ status: z.literal('LOCKED'), ...unchanging }),
  z.strictObject({
    status: z.literal('RELEASED'),
    ...unchanging,
    released_at: z.iso.datetime({ offset: true }),
    released_by: text,
    final_status: z.enum(finalStatuses),
  }),
])
export type RunLock = z.infer<typeof runLockSchema>

/**
 * The same as other tools and people write it: further members, other forms of ISO 8601, and a RELEASED file that does
 * not say how its lock ended.
 */
const foundSchema = z.discriminatedUnion('status', [
  z.looseObject({ status: z.literal('LOCKED'), ...unchanging, lock_time: isoText }),
  z.looseObject({
    status: z.literal('RELEASED'),
    ...unchanging,
    lock_time: isoText,
    released_at: isoText.optional(),
    released_by: text.optional(),
    final_status: z.enum(finalStatuses).optional(),
  }),
])
/** The content of a file that was found. */
export type ReadRunLock = z.infer<typeof foundSchema>

/**
 * Reads a RUN_LOCK.json. `status` is known even if other members are missing, because only LOCKED blocks a project.
 * `content` is undefined if the file is not one that can be imported.
 */
export function parseRunLock(found: string): {
  content: ReadRunLock | undefined
  status: RunLock['status'] | undefined
} {
  // A member that occurs twice has no one meaning, so such a file counts as unreadable.
  const read = readJson(found.replace(/^\ufeff/, ''))
  if ('problem' in read) return { content: undefined, status: undefined }
  const { value } = read
  const content = foundSchema.safeParse(value).data
  const { status } = Object(value) as { status?: unknown }
  return { content, status: status === 'LOCKED' || status === 'RELEASED' ? status : undefined }
}

/** The content of the file of a granted project lock. */
export function lockedFile(grant: LockEventData<'lock.acquired'>): RunLock {
  return {
    status: 'LOCKED',
    target_name: grant.target_name ?? '',
    run_id: grant.run_id ?? '',
    lock_owner: grant.run_id ?? '',
    lock_time: isoSeconds(grant.acquired),
    lock_reason: grant.lock_reason ?? '',
    release_conditions: grant.release_conditions ?? [],
  }
}

/** The content once the lock was released: the same seven members, and how the lock ended. */
export function releasedFile(
  grant: LockEventData<'lock.acquired'>,
  end: { time: string; released_by: string; final_status: (typeof finalStatuses)[number] },
): RunLock {
  const { status: _, ...seven } = lockedFile(grant)
  const { final_status, released_by, time } = end
  return { status: 'RELEASED', ...seven, released_at: isoSeconds(time), released_by, final_status }
}

/**
 * The content once an entry ended the grant. The run of a broken grant counts as aborted. A break that an older version
 * recorded has no `released_by`; its file then says what that version wrote.
 */
export function endedFile(grant: LockEventData<'lock.acquired'>, end: Entry, authority: string): RunLock {
  const { final_status = 'ABORTED', released_by = `${authority} (manual override)` } = end.data as Partial<
    LockEventData<'lock.released'>
  >
  return releasedFile(grant, { time: wallTimeOf(end), released_by, final_status })
}

/** The file's bytes: pretty JSON and a newline. */
export function runLockText(file: RunLock): string {
  return `${JSON.stringify(file, null, 2)}\n`
}
