import { existsSync, rmSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { z } from 'zod'
import type { Action } from '../core/action.ts'
import { type ArtifactRef, locatorSchema } from '../core/artifact-ref.ts'
import { approvalEvent, approvalIn, approvalKey, subjectOf } from '../core/export-approvals.ts'
import { type ExportBundle, exportBundleSchema, recordTextOf, statedSchema } from '../core/export-bundle.ts'
import { limits } from '../core/limits.ts'
import { freeTextIn, refuseFreeText } from '../core/run/case.ts'
import { recordActionSchema } from '../core/run/commands.ts'
import type { RunRecord } from '../core/run/run-record.ts'
import { approvalTypes, caseIdSchema, noteSchema } from '../core/vocabulary.ts'
import { LockstepError } from '../errors.ts'
import { writeDurably } from '../fs/durable.ts'
import { realFolder } from '../fs/layout.ts'
import type { Audit } from './audit.ts'
import { type Core, hashRequest, sha256Hex, submit } from './core.ts'
import {
  type ApproveExport,
  approveSchema,
  type CreateExport,
  createExportSchema,
  type GetExport,
  getExportSchema,
} from './export-requests.ts'
import { writeBundle } from './export-write.ts'
import { parse } from './parse.ts'
import { perform } from './performing.ts'
import type { PolicyApi } from './policy.ts'
import { errorOf } from './refusals.ts'
import { type Runs, refuseExpired } from './runs.ts'

type Approval = NonNullable<ExportBundle['approvals']>[number]

/** A bundle that was written: its record, where it is, and the run that it is the output of. */
export interface Exported {
  bundle: ExportBundle
  decision_id: string
  file: string
  record_file: string
  run_id: string
}

/** A bundle's record in the ledger: the event of its export names it, and so does the run. */
export interface ExportRecord {
  bundle: ExportBundle
  event_id: string
  run_id: string
}

/** `ledger.exports`: entries with their proofs, for who has no ledger. */
export class Exports {
  readonly #core: Core
  readonly #audit: Audit
  readonly #policy: PolicyApi
  readonly #runs: Runs

  constructor(core: Core, { audit, policy, runs }: { audit: Audit; policy: PolicyApi; runs: Runs }) {
    this.#core = core
    this.#audit = audit
    this.#policy = policy
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
   * the bundle its output artifact. The record, with the hashes, stands beside the archive as `<file>.json`, and in the
   * ledger. Two exports of the same selection, size and kind, with the same statements, are the same bytes.
   * Errors: RUN_DENIED (also for entries of another case, and where an approval is lacking that the configuration
   * demands), INVALID_INPUT (size, approvals, a file that is there), FREE_TEXT_DENIED, NOT_FOUND (nothing is selected),
   * LIMIT_EXCEEDED, LEDGER_CORRUPT (key), DISK_FULL, FILE_DENIED; RUN_NOT_ACTIVE where the run was ended meanwhile.
   * Whatever it rejects with, no file is left. Cost: three appends, two reads and one proof an entry that is selected;
   * memory for one page of them, their seqs and the names of runs.
   */
  async create(request: CreateExport): Promise<Exported> {
    const asked = parse(createExportSchema, request, 'export')
    const { actor, bundle_kind, effects, lane_id, parent_run_id, role_id, select: selection } = asked
    const stated = statedSchema.strip().parse(asked)
    if (freeTextIn(this.#policy.lane(lane_id), [stated.bundle_description, stated.redaction?.notes]) !== undefined)
      throw errorOf(refuseFreeText(lane_id))
    const approvals = this.#approvals(asked)
    const scope = scopeOf(asked, approvals)
    const file = resolve(asked.file)
    const locator = parse(locatorSchema, basename(file), 'file')
    realFolder(dirname(file))
    const files = [file, `${file}.json`]
    for (const path of files) if (existsSync(path)) throw isThere(path)
    const size = this.#sizeUpTo(asked.size)
    const case_id = parse(caseIdSchema.optional(), scope.case_id, 'scope.case_id')
    const action = { action_type: 'export' as const, effects, lane_id, scope, target: { name: 'export_bundle.create' } }
    // The lane has allowed the effect by the time anything is written.
    const allowed_case = effects?.includes('cross_case_lookup') ? undefined : (case_id ?? null)
    const request_hash_sha256 = hashRequest({ bundle_kind, select: selection, size, ...stated })
    // No run stays at work for ever, also where the process that writes the bundle ends.
    const lease_duration_s = limits.resourceLeaseSecondsMax
    const export_reason = noteSchema.safeParse(scope.export_reason).data
    let bundle: ExportBundle | undefined
    const { decision, run } = await perform(
      this.#runs,
      { action, actor, case_id, lease_duration_s, parent_run_id, request_hash_sha256, role_id },
      async () => {
        const written = await writeBundle(this.#core, { allowed_case, bundle_kind, file, selection, size, stated })
        const { manifest, ...integrity } = written
        bundle = exportBundleSchema.parse({
          ...manifest,
          ...(approvals.length === 0 ? {} : { approvals }),
          ...(export_reason === undefined ? {} : { export_reason }),
          integrity: { ...integrity, package_locator: locator },
        })
        const record = recordTextOf(bundle)
        await writeDurably(`${file}.json`, record, 0o600).catch(dropping(files))
        return { output_artifacts: artifactsOf(bundle, record), response_hash_sha256: integrity.manifest_hash_sha256 }
      },
      // What is not recorded has not left.
      (acted) => this.#record(acted, bundle as ExportBundle).catch(dropping(files)),
    )
    const { decision_id } = decision
    return { bundle: bundle as ExportBundle, decision_id, file, record_file: `${file}.json`, run_id: run.run_id }
  }

  /**
   * The record of a bundle that was exported, of its newest export or of that of one run, as the ledger keeps it.
   * Errors: NOT_FOUND. Cost: of a run one read an entry; of a bundle that of the index, and one read an export.
   */
  async get(request: GetExport): Promise<ExportRecord> {
    const asked = parse(getExportSchema, request, 'export')
    const of = 'run_id' in asked ? { run_id: asked.run_id } : {}
    let found: ExportRecord | undefined
    for (let cursor = 0, complete = false; !complete; ) {
      const page = await this.#audit.entries({ ...of, action_type: 'export', cursor, limit: limits.readPageEntries })
      for (const { data, event_id, run_id = '' } of page.events) {
        if (typeof data.record_digest !== 'string') continue
        const bundle = exportBundleSchema.parse(JSON.parse(this.#core.log.objects.text(data.record_digest)))
        if ('run_id' in asked || bundle.bundle_id === asked.bundle_id) found = { bundle, event_id, run_id }
      }
      complete = page.complete
      cursor = page.next
    }
    if (found !== undefined) return found
    throw new LockstepError('NOT_FOUND', `no bundle was exported as ${Object.values(asked)[0]}`, { details: asked })
  }

  /** The action event of the export, and with it the bundle's record, which no caller of `runs.record` can bring. */
  async #record(acted: z.input<typeof recordActionSchema>, bundle: ExportBundle): Promise<RunRecord> {
    const { actor, idempotency_key: _, ...asked } = parse(recordActionSchema, acted, 'action')
    const text = recordTextOf(bundle)
    const bundle_record = { digest: sha256Hex(text), text }
    const command = { ...asked, bundle_record, policies: this.#policy.known(), type: 'run.record' as const }
    refuseExpired(await submit(this.#core, command, { actor }))
    return this.#runs.get(asked.run_id)
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

/** The scope with the approvals: only what was looked at counts, whatever else is stated. */
function scopeOf(asked: z.output<typeof createExportSchema>, approvals: readonly Approval[]): Action['scope'] {
  const scope = { ...asked.scope }
  for (const type of approvalTypes) delete scope[approvalKey(type)]
  for (const [at, { approval_type }] of approvals.entries()) {
    scope[approvalKey(approval_type)] = asked.approvals[at] ?? ''
  }
  return scope
}

/** The archive, and the record that stands beside it. */
function artifactsOf({ bundle_id, integrity }: ExportBundle, record: string): ArtifactRef[] {
  const { package_hash_sha256, package_locator } = integrity
  const archive = {
    artifact_id: bundle_id,
    artifact_kind: 'export_bundle',
    content_type: 'application/gzip',
    hash_sha256: package_hash_sha256,
    hash_source: 'bytes' as const,
    storage_locator: package_locator,
  }
  const ofRecord = {
    artifact_id: `${bundle_id}_record`,
    artifact_kind: 'export_bundle_record',
    content_type: 'application/json',
    hash_sha256: sha256Hex(record),
    hash_source: 'bytes' as const,
    storage_locator: `${package_locator}.json`,
  }
  return [archive, ofRecord]
}

function isThere(file: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `${file} is there already`, { details: { file } })
}

/** Leaves no file of what failed. */
function dropping(files: readonly string[]): (error: unknown) => never {
  return (error) => {
    for (const file of files) rmSync(file, { force: true })
    throw error
  }
}
