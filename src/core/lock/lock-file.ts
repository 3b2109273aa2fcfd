import * as z from 'zod'
import { isWellFormed } from '../canonical.ts'
import { limits } from '../limits.ts'
import { type Evidence, evidenceSchema, type Liveness } from './liveness.ts'
import type { Grant } from './state.ts'

/** The lock file's name, everywhere (REQ-LOCK-001a). */
export const lockFileName = '.lock'

/** What goes from a file into entries: bounded, and well-formed however the JSON escapes it. */
const text = z
  .string()
  .min(1)
  .max(limits.reasonChars)
  .refine((value) => isWellFormed(value))

/** Lock files are padded with spaces, so that a renewal rewrites one in place in a single write of equal length. */
const lockFileBytes = 1_024

/**
 * What a lock file says (REQ-LOCK-002), read tolerantly: other tools leave out `schema_version` and ours' extras,
 * and may add more.
 */
export const lockFileSchema = z.looseObject({
  schema_version: z
    .string()
    .regex(/^1(?:\.|$)/)
    .optional(),
  deliverable_id: text,
  holder: text,
  acquired: z.iso.datetime({ offset: true }).max(64),
  lease_duration_s: z.int().min(1),
  pid: z.int().min(1),
  ledger: z.string().optional(),
  lock_ref: z.string().optional(),
  evidence: z.array(evidenceSchema).optional(),
})
export type LockFile = z.infer<typeof lockFileSchema>

/** The members a lock file is made of, all known before its grant is appended. */
export interface LockFileFacts {
  acquired: string
  deliverable_id: string
  evidence: readonly Evidence[]
  holder: string
  lease_duration_s: number
  ledger: string
  lock_ref: string
}

/** The bytes of a lock file: pretty JSON, spaces up to a multiple of 1,024 bytes, a newline. */
export function lockFileText(facts: LockFileFacts): string {
  const content = {
    schema_version: '1.0',
    deliverable_id: facts.deliverable_id,
    holder: facts.holder,
    acquired: facts.acquired,
    lease_duration_s: facts.lease_duration_s,
    pid: facts.evidence[0]?.pid,
    ledger: facts.ledger,
    lock_ref: facts.lock_ref,
    evidence: facts.evidence,
  }
  const json = JSON.stringify(content, null, 2)
  const bytes = new TextEncoder().encode(json).length + 1
  return `${json}${' '.repeat(Math.ceil(bytes / lockFileBytes) * lockFileBytes - bytes)}\n`
}

/** What the lock file of a current grant says. */
export function lockFileOfGrant(grant: Grant, ledger: string): string {
  const { acquired, deliverable_id = '', evidence, holder, lease_duration_s, lock_ref } = grant
  return lockFileText({
    acquired,
    deliverable_id,
    evidence,
    holder,
    lease_duration_s: lease_duration_s ?? 1,
    ledger,
    lock_ref,
  })
}

/** The content of a lock file, or undefined where it is unreadable, incomplete or of an unknown major version. */
export function parseLockFile(content: string): LockFile | undefined {
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch {
    return undefined
  }
  return lockFileSchema.safeParse(value).data
}

/**
 * Why a file of another tool is an orphan by the seed's two criteria (REQ-LOCK-006), or undefined if it is none: its
 * lease on the wall clock, and the death of its process.
 */
export function fileOrphanReason(
  file: LockFile,
  wallMillis: number,
  liveness: Liveness,
): 'host_rebooted' | 'lease_expired' | 'pid_dead' | undefined {
  if (wallMillis >= Date.parse(file.acquired) + file.lease_duration_s * 1000) return 'lease_expired'
  return liveness.alive === 'no' ? liveness.reason : undefined
}
