import { existsSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { z } from 'zod'
import type { create } from '../../api/shapes/exports.ts'
import { realFolder } from '../../disk/layout.ts'
import { approvalIn, subjectOf } from '../../domain/export/approvals.ts'
import { type ExportBundle, type Stated, statedSchema } from '../../domain/export/bundle.ts'
import type { Selection } from '../../domain/export/selection.ts'
import type { Action } from '../../domain/policy/action.ts'
import { approvalKey } from '../../domain/run/facts.ts'
import { freeTextIn, refuseFreeText } from '../../domain/run/free-text.ts'
import { LockstepError } from '../../errors.ts'
import { type ExportFiles, isThere } from '../../files/bundle/export-files.ts'
import { locatorSchema } from '../../kernel/artifact-ref.ts'
import type { Actor } from '../../kernel/ids.ts'
import { approvalTypes } from '../../kernel/vocabulary.ts'
import type { Core } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import { errorOf } from '../../writer/refusals.ts'
import { entryOfEvent } from '../audit/audit.ts'
import type { PolicyOfLedger } from '../policy/policy.ts'

type Approval = NonNullable<ExportBundle['approvals']>[number]

type Asked = z.output<typeof create>

/** A request for an export that can be begun. */
interface PlannedExport {
  actor: Actor | undefined
  approvals: Approval[]
  asked: Asked
  file: string
  scope: Action['scope']
  select: Selection
  size: number
  stated: Stated
}

/** An export whose run is authorized. */
export interface BegunExport extends PlannedExport {
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
  const { actor, file, lane_id, select } = asked
  const stated = statedSchema.strip().parse(asked)
  if (freeTextIn(await policy.lane(lane_id), [stated.bundle_description, stated.redaction?.notes]) !== undefined)
    throw errorOf(refuseFreeText(lane_id))
  const approvals = await approvalsOf(asked, core, actor ?? core.actor)
  parse(locatorSchema, basename(file), 'file')
  realFolder(dirname(file))
  for (const path of [file, `${file}.json`]) if (existsSync(path)) throw isThere(path)
  const scope = scopeOf(asked, approvals)
  return { actor, approvals, asked, file, scope, select, size: sizeUpTo(core, asked.size), stated }
}

/**
 * The approvals in the named events. Errors: INVALID_INPUT if an event does not exist or does not approve this
 * selection.
 */
async function approvalsOf({ approvals, select }: Asked, core: Core, actor: Actor): Promise<Approval[]> {
  const found: Approval[] = []
  for (const event_id of approvals) {
    const approval = approvalIn(await entryOfEvent(core, event_id), select, actor.actor_id)
    if (approval !== undefined) {
      found.push(approval)
      continue
    }
    throw new LockstepError(
      'INVALID_INPUT',
      `${event_id} is not an approval of ${subjectOf(select)} by another human`,
      {
        details: { event_id },
        hint: 'To approve and get an event_id, another human runs "lockstep export approve".',
      },
    )
  }
  return found
}

function sizeUpTo({ log }: Core, size: number | undefined): number {
  const published = log.head().size
  if (size === undefined || size <= published) return size ?? published
  throw new LockstepError('INVALID_INPUT', `size must be 1 to ${published}, not ${size}`)
}

/**
 * The scope with the approvals filled in. Only verified approvals count; approvals stated in the request's scope are
 * dropped.
 */
function scopeOf(asked: Asked, approvals: readonly Approval[]): Action['scope'] {
  const scope = { ...asked.scope }
  for (const type of approvalTypes) delete scope[approvalKey(type)]
  for (const [at, { approval_type }] of approvals.entries()) {
    scope[approvalKey(approval_type)] = asked.approvals[at] ?? ''
  }
  return scope
}
