import * as z from 'zod'
import { leaseClockSchema } from '../../kernel/clock.ts'
import { freeText } from '../../kernel/free-text.ts'
import { lockRefSchema, reasonSchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { evidenceSchema } from './liveness.ts'
import { lockKinds } from './names.ts'

const time = z.iso.datetime({ precision: 3 })
const name = z.string().min(1).max(300)
const holder = z.string().min(1).max(200)
const token = z.int().min(0)
/** The SHA-256 of a file's bytes, in hex. */
const digest = z.string().regex(/^[0-9a-f]{64}$/)
const hostId = evidenceSchema.shape.host_id
const paths = z
  .array(z.string().min(1).max(limits.lockPathBytes))
  .min(1)
  .max(limits.pathsPerGrantMax * 2)

export const recoveryReasons = ['lease_expired', 'pid_dead', 'host_rebooted', 'unreadable', 'unrecorded'] as const
export type RecoveryReason = (typeof recoveryReasons)[number]
export const finalStatuses = ['COMPLETE', 'PARTIAL', 'HALTED', 'FAILED', 'ABORTED', 'ROLLED_BACK'] as const

/**
 * A grant. Its seq plus `token_offset`, if present, is the fencing token. A grant of paths has `paths`, and in `previous`
 * the last grant of each path before it. Members are in canonical order here and wherever data is built.
 */
const acquired = z.strictObject({
  acquired: time,
  deliverable_id: z.string().optional(),
  evidence: z.array(evidenceSchema),
  expires_at: time.nullable(),
  folder: z.string().optional(),
  holder,
  host: z.string().optional(),
  host_id: hostId,
  kind: z.enum(lockKinds),
  lease_clock: leaseClockSchema,
  lease_duration_s: z.int().min(1).nullable(),
  lock_reason: freeText(reasonSchema).optional(),
  lock_ref: lockRefSchema,
  name,
  paths: paths.optional(),
  previous: z.array(lockRefSchema.nullable()).optional(),
  release_conditions: z.array(z.string()).optional(),
  run_id: z.string().optional(),
  shared: z.literal(true).optional(),
  source: z.literal('import').optional(),
  target_name: z.string().optional(),
  token_offset: z.int().min(1).optional(),
  /** The top of the worktree in which the holder works. */
  worktree: z.string().optional(),
})

/** `host_id` is present if the lease clock now belongs to another host. */
const renewed = z.strictObject({
  acquired: time,
  expires_at: time,
  host_id: hostId.optional(),
  lease_clock: leaseClockSchema,
  lock_ref: lockRefSchema,
  name,
  renewals: z.int().min(1),
  token,
})

/**
 * A process that wants the lock found a lease that its own clocks cannot place, such as a lease granted while a wall
 * clock was years ahead. From this entry on the lease lasts at most its full length; `expires_at` is that end by the
 * wall clock of that process.
 */
const judged = z.strictObject({
  expires_at: time,
  host_id: hostId,
  lease_clock: leaseClockSchema,
  name,
  token,
})

/** The end of a grant of several paths names all of them. */
const released = z.strictObject({
  condition_met: z.string().optional(),
  evidence: z.enum(['attested', 'override', 'run_file', 'run_state']).optional(),
  final_status: z.enum(finalStatuses).optional(),
  held_ms: z.int().min(0),
  holder,
  late: z.literal(true).optional(),
  lock_ref: lockRefSchema,
  name,
  outcome: z.enum(['failure', 'success']),
  paths: paths.optional(),
  reason: freeText(reasonSchema).optional(),
  released_by: z.string().optional(),
  run_id: z.string().optional(),
  token,
})

/**
 * The end of an orphan. The fields do not depend on its cause. `previous_token` is null for a file without a recorded
 * grant. `aside` and `digest` are present for a file that could not be read, because its bytes are kept. A grant of paths
 * has `lock_ref`, and `paths` if there are several.
 */
const recovered = z.strictObject({
  aside: z.string().optional(),
  by: z.string(),
  digest: digest.optional(),
  lock_ref: lockRefSchema.optional(),
  mode: z.enum(['automatic', 'manual']),
  name,
  paths: paths.optional(),
  previous_acquired: z.string().nullable(),
  previous_holder: z.string(),
  previous_token: token.nullable(),
  reason: freeText(reasonSchema).nullable(),
  recovery_reason: z.enum(recoveryReasons),
})

/** `released_by` is present for a project lock, except in entries of older versions; `lock_ref` for a grant of paths. */
const broken = z.strictObject({
  by: z.string(),
  lock_ref: lockRefSchema.optional(),
  name,
  paths: paths.optional(),
  previous_acquired: time,
  previous_holder: z.string(),
  previous_token: token,
  reason: freeText(reasonSchema),
  released_by: z.string().optional(),
})

/** The lock file no longer belongs to the holder: a process that does not share this ledger took it. */
const lost = z.strictObject({ found: freeText(z.string()), holder, lock_ref: lockRefSchema, name, token })

/** Two files claimed one place. The entry keeps both contents, and the file that was set aside stays on disk. */
const conflict = z.strictObject({
  aside: z.string(),
  aside_content: freeText(z.string()),
  found_content: freeText(z.string()),
  name,
})

const fileRestored = z.strictObject({ folder: z.string(), lock_ref: lockRefSchema, name, token })
const retired = z.strictObject({ by: z.string(), folder: z.string(), name, reason: freeText(reasonSchema).nullable() })
/** A file that was moved out of the way. `digest` is present if its bytes are kept in `.lockstep/aside`. */
const fileSetAside = z.strictObject({
  aside: z.string(),
  by: z.string(),
  content: freeText(z.string()),
  digest: digest.optional(),
  name,
  path: z.string(),
  reason: freeText(reasonSchema),
})

/** A recorded refusal: the actor, the command, and the reason. */
const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  current_token: token.nullable().optional(),
  lock_ref: lockRefSchema.optional(),
  message: freeText(z.string()),
  name: name.optional(),
  repeats: z.int().min(1).optional(),
  token: token.optional(),
})

/** Every event of a lock, by type. */
export const lockEventSchemas = {
  'lock.acquired': acquired,
  'lock.renewed': renewed,
  'lock.judged': judged,
  'lock.released': released,
  'lock.recovered': recovered,
  'lock.broken': broken,
  'lock.lost': lost,
  'lock.conflict': conflict,
  'lock.file_restored': fileRestored,
  'lock.file_set_aside': fileSetAside,
  'lock.retired': retired,
  'lock.refused': refused,
} as const

export type LockEventType = keyof typeof lockEventSchemas
export type LockEventData<Type extends LockEventType> = z.infer<(typeof lockEventSchemas)[Type]>
export type LockEvent = {
  [Type in LockEventType]: { type: Type; stream: string; data: LockEventData<Type> }
}[LockEventType]
