import { z } from 'zod'
import { isoSeconds } from '../clock.ts'
import { finalStatuses, type LockEventData } from './events.ts'

export const runLockFileName = 'RUN_LOCK.json'

const text = z.string().min(1).max(2_000)

/** RUN_LOCK.json (seed 1): seven members while LOCKED, the same seven and three more when RELEASED. */
export const runLockSchema = z.discriminatedUnion('status', [
  z.strictObject({
    status: z.literal('LOCKED'),
    target_name: text,
    run_id: text,
    lock_owner: text,
    lock_time: z.iso.datetime({ offset: true }),
    lock_reason: text,
    release_conditions: z.array(text).max(100),
  }),
  z.strictObject({
    status: z.literal('RELEASED'),
    target_name: text,
    run_id: text,
    lock_owner: text,
    lock_time: z.iso.datetime({ offset: true }),
    lock_reason: text,
    release_conditions: z.array(text).max(100),
    released_at: z.iso.datetime({ offset: true }),
    released_by: text,
    final_status: z.enum(finalStatuses),
  }),
])
export type RunLock = z.infer<typeof runLockSchema>

/** What the file of a granted project lock says. */
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

/** What it says once the lock was released: the same seven members unchanged, and how it ended. */
export function releasedFile(
  grant: LockEventData<'lock.acquired'>,
  end: { time: string; released_by: string; final_status: (typeof finalStatuses)[number] },
): RunLock {
  const { status: _, ...seven } = lockedFile(grant)
  const { final_status, released_by, time } = end
  return { status: 'RELEASED', ...seven, released_at: isoSeconds(time), released_by, final_status }
}

/** The file's bytes: pretty JSON and a newline. */
export function runLockText(file: RunLock): string {
  return `${JSON.stringify(file, null, 2)}\n`
}
