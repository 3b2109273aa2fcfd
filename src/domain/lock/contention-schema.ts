import * as z from 'zod'
import { lockIdSchema, lockRefSchema } from '../../kernel/ids.ts'

const time = z.iso.datetime({ offset: true })

/**
 * The problem document of LOCK_CONTENTION: the report of REQ-LOCK-007 (Deliverable Lock Specification) with further
 * facts. `holder` is `"waiters"` if earlier waiters block the lock, and `"unreadable"` if the lock file cannot be read.
 * Ledgers write every member that applies. Members beyond REQ-LOCK-007 are optional for readers.
 */
export const lockContentionSchema = z
  .strictObject({
    code: z.literal('LOCK_CONTENTION'),
    message: z.string().min(1),
    /** False for a file of an unknown schema version: only a person can end that lock. */
    retryable: z.boolean(),
    hint: z.string().min(1).optional(),
    /** With it, a retry is the same acquisition. Only the caller learns it. */
    lock_id: lockIdSchema.optional(),
    name: z.string().min(1).max(300),
    deliverable_id: z.string().min(1).optional(),
    run_id: z.string().min(1).optional(),
    target_name: z.string().min(1).optional(),
    holder: z.string().min(1),
    lease_remaining_s: z.int().min(0).nullable(),
    contention_time: time,
    acquired: time.nullable().optional(),
    /** When the holder got the lock; `acquired` is its last renewal. */
    held_since: time.optional(),
    /** Why the holder has the lock, as the holder said it. */
    reason: z.string().min(1).optional(),
    /** Whether the lock in the way is a shared one, and the worktree in which its holder works. */
    shared: z.literal(true).optional(),
    worktree: z.string().min(1).optional(),
    host: z.string().nullable().optional(),
    pid: z.int().min(1).nullable().optional(),
    holder_alive: z.enum(['yes', 'no', 'unknown']),
    /** The grant that holds the lock, as entries name it. */
    lock_ref: lockRefSchema.optional(),
    token: z.int().min(0).nullable().optional(),
    retry_after_s: z.int().min(1).optional(),
    waiting: z.int().min(1).optional(),
    path: z.string().min(1).optional(),
    /**
     * The lock that is held, if it is another than the one that was attempted: a path above or below, or a folder that was
     * renamed, with its present place.
     */
    held_name: z.string().min(1).optional(),
    held_folder: z.string().min(1).optional(),
    blocking_run_id: z.string().min(1).optional(),
  })
  .refine(({ deliverable_id, name }) => deliverable_id !== undefined || !name.startsWith('deliverable:'), {
    path: ['deliverable_id'],
    message: 'is required for a deliverable',
  })
export type LockContention = z.infer<typeof lockContentionSchema>
