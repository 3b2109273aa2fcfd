import * as z from 'zod'
import { actorSchema, holderSchema, lineOf, lockIdSchema, reasonSchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { finalStatuses } from './events.ts'
import { lockNameSchema, resourceNameSchema } from './names.ts'

// The input of commands, parsed once at the boundary of the API.

const actor = actorSchema.optional()
/** An upper bound that is part of the type costs no check of its own. */
const pid = z.int32().min(1)
const folder = lineOf(limits.pathBytes)
const runId = lineOf(120)
const leaseSeconds = z.int().min(1).max(limits.resourceLeaseSecondsMax)
const reason = reasonSchema.optional()
const wait_s = z.int().min(0).max(limits.waitSecondsMax).default(0)

export const acquireResourceSchema = z.strictObject({
  actor,
  holder: holderSchema,
  lease_duration_s: leaseSeconds.default(limits.leaseSecondsDefault),
  lock_id: lockIdSchema.optional(),
  name: resourceNameSchema,
  /** The processes that hold the lock. Without any, only the lease decides. */
  pids: z.array(pid).max(limits.evidenceMax).default([]),
  reason,
  wait_s,
})

export const acquirePathsSchema = z.strictObject({
  actor,
  holder: holderSchema,
  lease_duration_s: leaseSeconds.default(limits.leaseSecondsDefault),
  lock_id: lockIdSchema.optional(),
  paths: z.array(z.string().min(1).max(limits.pathBytes)).min(1).max(limits.pathsPerGrantMax),
  pids: z.array(pid).max(limits.evidenceMax).default([]),
  reason,
  shared: z.boolean().default(false),
  wait_s,
})

export const acquireDeliverableSchema = z.strictObject({
  actor,
  folder,
  holder: holderSchema,
  /** By default 1,800, or the nearest value that the configuration allows. */
  lease_duration_s: leaseSeconds.optional(),
  lock_id: lockIdSchema.optional(),
  /** The Deliverable Lock Specification requires a process as evidence, and only the caller knows its own pid. */
  pids: z.array(pid).min(1).max(limits.evidenceMax),
  reason,
  wait_s,
})

export const acquireProjectSchema = z.strictObject({
  actor,
  lock_owner: lineOf(120).optional(),
  reason: reasonSchema.default('P0_INVENTORY initialization'),
  /** By default the two conditions of the run lock template, the second with the configured release authority. */
  release_conditions: z.array(lineOf(limits.nameBytes)).min(1).max(limits.releaseConditionsMax).optional(),
  run_id: runId,
  target_name: lineOf(500),
})

export const acquireAllSchema = z
  .strictObject({
    actor,
    holder: holderSchema,
    lease_duration_s: leaseSeconds.default(limits.leaseSecondsDefault),
    lock_ids: z.array(lockIdSchema).optional(),
    names: z.array(resourceNameSchema).min(1).max(limits.locksPerRequestMax),
    pids: z.array(pid).max(limits.evidenceMax).default([]),
    reason,
  })
  .refine(({ lock_ids, names }) => lock_ids === undefined || lock_ids.length === names.length, {
    path: ['lock_ids'],
    message: 'must have one lock_id for each name',
  })
  .refine(({ lock_ids = [] }) => new Set(lock_ids).size === lock_ids.length, {
    path: ['lock_ids'],
    message: 'must all differ: each acquisition needs its own lock_id',
  })

export const renewSchema = z.strictObject({ actor, lock_id: lockIdSchema })
export const releaseSchema = z.strictObject({
  actor,
  lock_id: lockIdSchema,
  outcome: z.enum(['failure', 'success']).default('success'),
})
export const releaseProjectSchema = z.strictObject({
  actor,
  final_status: z.enum(finalStatuses),
  override: z.boolean().default(false),
  reason: reasonSchema.optional(),
  run_id: runId,
})
export const recoverSchema = z.strictObject({
  actor,
  dry_run: z.boolean().default(false),
  folder: folder.optional(),
  name: lockNameSchema,
  reason: reasonSchema,
})
export const breakSchema = z.strictObject({ actor, name: lockNameSchema, reason: reasonSchema })
export const breakFolderSchema = z.strictObject({ actor, folder, reason: reasonSchema })
export const retireSchema = z.strictObject({ actor, folder, reason: reasonSchema.optional() })
export const historySchema = z.strictObject({
  name: lockNameSchema,
  /** The `seq` of the last entry of the page before: older entries follow. */
  cursor: z.int().min(0).optional(),
  limit: z.int().min(1).max(limits.historyPageMax).default(limits.historyPageMax),
})
export const checkSchema = z.strictObject({ run_id: runId, target_name: lineOf(500) })
export const importSchema = z.strictObject({
  actor,
  file: lineOf(limits.pathBytes),
  reason: reasonSchema.optional(),
  set_aside: z.boolean().default(false),
})
