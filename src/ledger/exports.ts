import { existsSync, rmSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import * as z from 'zod'
import { actionSchema } from '../core/action.ts'
import { locatorSchema } from '../core/artifact-ref.ts'
import { approvalEvent, approvalIn, approvalKey, subjectOf } from '../core/export-approvals.ts'
import { type ExportBundle, exportBundleSchema } from '../core/export-bundle.ts'
import { selectionSchema } from '../core/export-selection.ts'
import { actorSchema } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { approvalTypes, caseIdSchema, eventIdSchema, line, noteSchema, runIdSchema } from '../core/vocabulary.ts'
import { LockstepError } from '../errors.ts'
import { writeDurably } from '../fs/durable.ts'
import { realFolder } from '../fs/layout.ts'
import type { Audit } from './audit.ts'
import { type Core, hashRequest, sha256Hex } from './core.ts'
import { writeBundle } from './export-write.ts'
import { parse } from './parse.ts'
import type { Runs } from './runs.ts'

const createExportSchema = z.strictObject({
  actor: actorSchema.optional(),
  /** Events by which others approved of this selection: the event_ids that `approve` gave. */
  approvals: z.array(eventIdSchema).max(20).default([]),
  bundle_kind: exportBundleSchema.shape.bundle_kind.default('internal_review'),
  /** What the export brings with it; `cross_case_lookup` where it may hold entries of several cases. */
  effects: actionSchema.shape.effects,
  /** Where the archive goes; nothing may be there yet. */
  file: z.string().min(1).max(limits.pathBytes),
  /** The lane that the export run acts in, and the role its actor has there. */
  lane_id: line,
  parent_run_id: runIdSchema.optional(),
  role_id: line.optional(),
  /** What the lane requires beside the run_id, as case_id and export_reason. */
  scope: actionSchema.shape.scope.default({}),
  select: selectionSchema,
  /** The size of the tree that is exported from; by default that before the export's own first entry. */
  size: z.int().min(1).optional(),
})
export type CreateExport = z.input<typeof createExportSchema>

const approveSchema = z.strictObject({
  actor: actorSchema.optional(),
  approval_type: z.enum(approvalTypes),
  notes: noteSchema.optional(),
  select: selectionSchema,
})
export type ApproveExport = z.input<typeof approveSchema>

type Approval = NonNullable<ExportBundle['approvals']>[number]

/** A bundle that was written: its record, where it is, and the run that it is the output of. */
export interface Exported {
  bundle: ExportBundle
  decision_id: string
  file: string
  record_file: string
  run_id: string
}

/** `ledger.exports`: entries with their proofs, for who has no ledger. */
export class Exports {
  readonly #core: Core
  readonly #audit: Audit
  readonly #runs: Runs

  constructor(core: Core, { audit, runs }: { audit: Audit; runs: Runs }) {
    this.#core = core
    this.#audit = audit
    this.#runs = runs
  }

  /**
   * Records that the actor, a human, approves of an export of a selection; its event_id is for who exports, who has to
   * be another. Errors: INVALID_INPUT. Cost: one append.
   */
  async approve(request: ApproveExport): Promise<{ event_id: string; seq: number }> {
    const { actor = this.#core.actor, approval_type, notes, select } = parse(approveSchema, request, 'approval')
    if (actor.actor_type !== 'human') {
      throw new LockstepError('INVALID_INPUT', `${actor.actor_id} is no human, and cannot approve of an export`)
    }
    const { events } = await this.#audit.append(approvalEvent(select, approval_type, notes), { actor })
    const { event_id, seq } = events[0] as (typeof events)[number]
    return { event_id, seq }
  }

  /**
   * Writes a bundle as the one action of an export run: the authorisation, the assembly and the end are its events,
   * the bundle its output artifact. The record, with the hashes, stands beside the archive as `<file>.json`. Two exports
   * of the same selection, size and kind are the same bytes. Errors: RUN_DENIED (also for entries of another case, and
   * where an approval is lacking that the configuration demands), INVALID_INPUT (size, approvals, a file that is there),
   * NOT_FOUND (nothing is selected), LIMIT_EXCEEDED, LEDGER_CORRUPT (key), DISK_FULL, FILE_DENIED.
   * Cost: three appends, two reads and one proof an entry that is selected; memory for one page of them, their seqs
   * and the names of runs.
   */
  async create(request: CreateExport): Promise<Exported> {
    const asked = parse(createExportSchema, request, 'export')
    const { actor, bundle_kind, effects, lane_id, parent_run_id, role_id, select } = asked
    const approvals = this.#approvals(asked)
    const scope = { ...asked.scope }
    for (const type of approvalTypes) delete scope[approvalKey(type)]
    // Only what was looked at counts, whatever else is stated.
    for (const [at, { approval_type }] of approvals.entries()) {
      scope[approvalKey(approval_type)] = asked.approvals[at] ?? ''
    }
    const file = resolve(asked.file)
    const locator = parse(locatorSchema, basename(file), 'file')
    realFolder(dirname(file))
    if (existsSync(file)) throw new LockstepError('INVALID_INPUT', `${file} is there already`, { details: { file } })
    const size = this.#sizeUpTo(asked.size)
    const case_id = parse(caseIdSchema.optional(), scope.case_id, 'scope.case_id')
    const target = { name: 'export_bundle.create' }
    const action = { action_type: 'export' as const, effects, lane_id, scope, target }
    // The lane has allowed the effect by the time anything is written.
    const allowed_case = effects?.includes('cross_case_lookup') ? undefined : (case_id ?? null)
    const request_hash_sha256 = hashRequest({ bundle_kind, select, size })
    const { decision, result, run } = await this.#runs.perform(
      { action, actor, case_id, parent_run_id, request_hash_sha256, role_id },
      async () => {
        const { manifest, manifest_hash_sha256, package_hash_sha256 } = await writeBundle(this.#core, {
          allowed_case,
          bundle_kind,
          file,
          selection: select,
          size,
        })
        const integrity = { manifest_hash_sha256, package_hash_sha256, package_locator: locator }
        const approved = approvals.length === 0 ? {} : { approvals }
        const bundle = exportBundleSchema.parse({ ...manifest, ...approved, integrity })
        const record = `${JSON.stringify(bundle, null, 2)}\n`
        await writeDurably(`${file}.json`, record, 0o600).catch((error: unknown) => {
          // A bundle without its record is none: the run fails, and leaves nothing.
          rmSync(file, { force: true })
          throw error
        })
        const artifact = {
          artifact_id: bundle.bundle_id,
          artifact_kind: 'export_bundle',
          content_type: 'application/gzip',
          hash_sha256: package_hash_sha256,
          hash_source: 'bytes' as const,
          storage_locator: locator,
        }
        const ofRecord = {
          artifact_id: `${bundle.bundle_id}_record`,
          artifact_kind: 'export_bundle_record',
          content_type: 'application/json',
          hash_sha256: sha256Hex(record),
          hash_source: 'bytes' as const,
          storage_locator: `${locator}.json`,
        }
        return { bundle, output_artifacts: [artifact, ofRecord], response_hash_sha256: manifest_hash_sha256 }
      },
    )
    const { decision_id } = decision
    return { bundle: result.bundle, decision_id, file, record_file: `${file}.json`, run_id: run.run_id }
  }

  /** What the named events approve of. Errors: INVALID_INPUT for one that is not there, or no approval of this. */
  #approvals({ actor = this.#core.actor, approvals, select }: z.output<typeof createExportSchema>): Approval[] {
    return approvals.map((event_id) => {
      const approval = approvalIn(this.#audit.entryOf(event_id), select, actor.actor_id)
      if (approval !== undefined) return approval
      throw new LockstepError('INVALID_INPUT', `${event_id} is no approval of ${subjectOf(select)} by another human`, {
        details: { event_id },
        hint: 'lockstep export approve … gives the event_id of one.',
      })
    })
  }

  #sizeUpTo(size: number | undefined): number {
    const published = this.#core.log.head().size
    if (size === undefined || size <= published) return size ?? published
    throw new LockstepError('INVALID_INPUT', `size must be 1 … ${published}, not ${size}`)
  }
}
