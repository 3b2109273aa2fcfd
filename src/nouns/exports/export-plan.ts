import { existsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { z } from 'zod'
import type { create } from '../../api/shapes/exports.ts'
import { realFolder } from '../../disk/layout.ts'
import type { AskedExport } from '../../domain/approval/exported.ts'
import { approvalIn, streamOfApproval } from '../../domain/approval/state.ts'
import { type ExportBundle, type Stated, statedSchema } from '../../domain/export/bundle.ts'
import { freeTextIn, refuseFreeText } from '../../domain/run/free-text.ts'
import { assertRedaction } from '../../domain/withheld.ts'
import { LockstepError } from '../../errors.ts'
import { type ExportFiles, isThere } from '../../files/bundle/export-files.ts'
import { locatorSchema } from '../../kernel/artifact-ref.ts'
import type { Actor } from '../../kernel/ids.ts'
import { type Core, hashRequest } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import { errorOf } from '../../writer/refusals.ts'
import type { PolicyOfLedger } from '../policy/policy.ts'
import type { ProvenApprovals } from './export-approvals.ts'

type Asked = z.output<typeof create>

/** A request for an export that can be begun. */
interface PlannedExport {
  actor: Actor | undefined
  asked: Asked
  /** What the action hands out. The decision compares it with the approvals. */
  bundle: AskedExport
  file: string
  stated: Stated
}

/** An export whose run is authorized. */
export interface BegunExport extends PlannedExport {
  approvals: ProvenApprovals | undefined
  case_id: string | undefined
  decision_id: string
  files: ExportFiles
  request_hash_sha256: string
  run_id: string
}

/** A bundle that is written but not yet recorded. */
export interface WrittenExport {
  bundle: ExportBundle
}

/**
 * Checks a request as far as possible before the export changes anything. Errors: INVALID_INPUT, FREE_TEXT_DENIED,
 * NOT_FOUND (the folder).
 */
export async function planExport(core: Core, policy: PolicyOfLedger, asked: Asked): Promise<PlannedExport> {
  const { actor, approvals, bundle_kind, file, lane_id, select } = asked
  const stated = statedSchema.strip().parse(asked)
  assertRedaction(stated.redaction ?? {})
  if (freeTextIn(await policy.lane(lane_id), [stated.bundle_description, stated.redaction?.notes]) !== undefined)
    throw errorOf(refuseFreeText(lane_id))
  parse(locatorSchema, basename(file), 'file')
  realFolder(dirname(file))
  for (const path of [file, `${file}.json`]) if (existsSync(path)) throw isThere(path)
  const size = sizeUpTo(core, asked.size ?? (await approvedSize(core, approvals)))
  const { redaction } = stated
  const named = approvals.length === 0 ? {} : { approvals }
  return {
    actor,
    asked,
    bundle: { ...named, bundle_kind, ...(redaction ? { redaction } : {}), select, size },
    file,
    stated,
  }
}

/** The size that the first approval binds; undefined if the ledger has no such approval. */
async function approvedSize({ views }: Core, [first]: readonly string[]): Promise<number | undefined> {
  return first === undefined ? undefined : approvalIn(await views.row(streamOfApproval(first)))?.bundle.size
}

/** The hash of what is exported. It leaves out free texts, because a plain hash would confirm guesses of them. */
export function requestHashOf({ bundle, stated }: Pick<PlannedExport, 'bundle' | 'stated'>): string {
  const { bundle_description: _, redaction, ...named } = stated
  const { notes: __, ...redacted } = redaction ?? {}
  return hashRequest({ ...bundle, ...named, ...(redaction ? { redaction: redacted } : {}) })
}

/** The size of the tree that is exported or approved: by default all of it. Errors: INVALID_INPUT. */
export function sizeUpTo({ log }: Core, size: number | undefined): number {
  const published = log.head().size
  if (size === undefined || size <= published) return size ?? published
  throw new LockstepError('INVALID_INPUT', `size must be 1 to ${published}, not ${size}`)
}
