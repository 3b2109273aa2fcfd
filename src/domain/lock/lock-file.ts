import * as z from 'zod'
import { isWellFormed } from '../../kernel/canonical.ts'
import { isoTime } from '../../kernel/clock.ts'
import { readJson } from '../../kernel/json.ts'
import { limits } from '../../kernel/limits.ts'
import { isoMillis } from './iso-time.ts'
import { type Evidence, evidenceSchema, type Liveness } from './liveness.ts'
import type { Grant } from './state.ts'

/** The name of every lock file (REQ-LOCK-001a). */
export const lockFileName = '.lock'

/** Text that is copied from a file into entries: limited in length, and well-formed even if the JSON has escapes. */
const text = z
  .string()
  .min(1)
  .max(limits.reasonChars)
  .refine((value) => isWellFormed(value))

/**
 * Lock files are padded with spaces, so that a renewal can rewrite the file in place with one write of the same length.
 */
const lockFileBytes = 1_024

/**
 * The content of a lock file (REQ-LOCK-002), read tolerantly: other tools omit `schema_version` and the extra members
 * of Lockstep, and may add their own.
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

/** The members of a lock file. All are known before the grant is appended. */
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

/** The content of the lock file of a current grant. */
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

/**
 * Whether a text is the lock file of this grant without its end, as a failure of power or of the disk leaves it. It must
 * reach the time of the grant: an empty file, for example, could be another tool's.
 */
export function isCutFile(text: string, grant: Grant, ledger: string): boolean {
  const whole = lockFileOfGrant(grant, ledger)
  // Some file systems keep the length of a file and fill it with zeros.
  const left = text.replace(/\0+$/, '')
  return left.length < whole.trimEnd().length && whole.startsWith(left) && left.includes(grant.acquired)
}

/**
 * The content of a lock file, or undefined if it is unreadable, incomplete or has an unknown major version. `acquired`
 * may have any common form of ISO 8601, and is given in ours. A byte order mark is ignored.
 */
export function parseLockFile(content: string): LockFile | undefined {
  const value = jsonIn(content)
  if (typeof value !== 'object' || value === null) return undefined
  const { acquired } = value as { acquired?: unknown }
  const millis = typeof acquired === 'string' ? isoMillis(acquired) : undefined
  if (millis === undefined) return undefined
  return lockFileSchema.safeParse({ ...value, acquired: isoTime(millis) }).data
}

/** The schema version of a file if its major version is unknown. Such a file counts as held. */
export function unknownVersionOf(content: string): string | undefined {
  const { schema_version } = Object(jsonIn(content)) as { schema_version?: unknown }
  const isUnknown = typeof schema_version === 'string' && /^\d{1,9}(?:\.|$)/.test(schema_version)
  return isUnknown && !/^0*1(?:\.|$)/.test(schema_version) ? schema_version.slice(0, 20) : undefined
}

function jsonIn(content: string): unknown {
  const read = readJson(content.replace(/^\ufeff/, ''))
  return 'problem' in read ? undefined : read.value
}

/**
 * Why a file of another tool is an orphan by the two criteria of REQ-LOCK-006: its lease has expired by the wall clock,
 * or its process is dead. Undefined if it is not an orphan.
 */
export function fileOrphanReason(
  file: LockFile,
  wallMillis: number,
  liveness: Liveness,
): 'host_rebooted' | 'lease_expired' | 'pid_dead' | undefined {
  if (wallMillis >= Date.parse(file.acquired) + file.lease_duration_s * 1000) return 'lease_expired'
  return liveness.alive === 'no' ? liveness.reason : undefined
}
