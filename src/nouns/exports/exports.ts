import { basename } from 'node:path'
import type { z } from 'zod'
import { fileError, writeDurably } from '../../disk/durable.ts'
import { approvalEvent } from '../../domain/export/approvals.ts'
import { type ExportBundle, exportBundleSchema, recordTextOf } from '../../domain/export/bundle.ts'
import { recordActionSchema } from '../../domain/run/commands.ts'
import { LockstepError } from '../../errors.ts'
import { isOutcomeUnknown } from '../../files/deliverable/claims.ts'
import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import { given } from '../../kernel/given.ts'
import { limits } from '../../kernel/limits.ts'
import { caseIdSchema, noteSchema } from '../../kernel/vocabulary.ts'
import { type Core, hashRequest, sha256Hex, submit } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import type { Audit } from '../audit/audit.ts'
import type { PolicyApi } from '../policy/policy.ts'
import { failWith } from '../runs/performing.ts'
import { type Runs, refuseExpired } from '../runs/runs.ts'
import { type BegunExport, planExport, type WrittenExport } from './export-plan.ts'
import { noteExport } from './export-recovery.ts'
import {
  type ApproveExport,
  approveSchema,
  type CreateExport,
  type GetExport,
  getExportSchema,
} from './export-requests.ts'
import { writeBundle } from './export-write.ts'

/** A written bundle: its record, its files, and the run that produced it. */
export interface Exported {
  bundle: ExportBundle
  decision_id: string
  file: string
  record_file: string
  run_id: string
}

/** A bundle's record in the ledger. The event and the run of its export name the record. */
export interface ExportRecord {
  bundle: ExportBundle
  event_id: string
  run_id: string
}

/** `ledger.exports`: entries with proofs, for readers without the ledger. */
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
   * Records that the actor, a human, approves the export of a selection. The exporting actor must be a different one,
   * and passes the returned event_id to `create`. Errors: INVALID_INPUT. Cost: one append.
   */
  async approve(request: ApproveExport): Promise<{ event_id: string; seq: number }> {
    const { actor = this.#core.actor, approval_type, notes, select } = parse(approveSchema, request, 'approval')
    if (actor.actor_type !== 'human') {
      throw new LockstepError('INVALID_INPUT', `${actor.actor_id} is not a human and cannot approve an export`)
    }
    const { events } = await this.#audit.append(approvalEvent(select, approval_type, notes), { actor })
    const { event_id, seq } = events[0] as (typeof events)[number]
    return { event_id, seq }
  }

  /**
   * Writes a bundle as the one action of an export run. The run records the authorization, the action and the end;
   * the bundle is its output artifact. The record with the hashes is written to `<file>.json` and to the ledger. Two
   * exports with the same selection, size, kind and statements have the same bytes.
   * Errors: RUN_DENIED (also for entries of another case, or if a required approval is missing), INVALID_INPUT (size,
   * approvals, or an existing file), FREE_TEXT_DENIED, NOT_FOUND (no entry is selected), LIMIT_EXCEEDED,
   * LEDGER_CORRUPT (key), DISK_FULL, FILE_DENIED; RUN_NOT_ACTIVE if the run was ended meanwhile. If it rejects, no
   * file remains.
   * Cost: three appends; two reads and one proof per selected entry; memory for one page, the seqs and the names of
   * runs.
   */
  async create(request: CreateExport): Promise<Exported> {
    const begun = await this.begin(request)
    const written = await this.write(begun).catch((error: unknown) => this.fail(begun, error))
    return this.finish(begun, written)
  }

  /**
   * Resolves when the index has reached the size that the export needs. Errors: INVALID_INPUT and NOT_FOUND, as in
   * `create`.
   */
  async ready(request: CreateExport): Promise<void> {
    const { select, size } = await planExport({ audit: this.#audit, core: this.#core, policy: this.#policy }, request)
    if ('run_id' in select || 'case_id' in select) await this.#core.index.reached(size)
  }

  /**
   * The first part of `create`: authorizes the run and notes the export. If this process dies, the note lets the next
   * open end the run and remove the files. The caller must then write and finish the export, or fail it. Errors: see
   * `create`.
   */
  async begin(request: CreateExport): Promise<BegunExport> {
    const planned = await planExport({ audit: this.#audit, core: this.#core, policy: this.#policy }, request)
    const { actor, asked, file, select, size, stated } = planned
    const { bundle_kind, effects, lane_id, parent_run_id, role_id } = asked
    const case_id = parse(caseIdSchema.optional(), planned.scope.case_id, 'scope.case_id')
    const target = { name: 'export_bundle.create' }
    const action = { action_type: 'export' as const, effects, lane_id, scope: planned.scope, target }
    const run_id = this.#core.newRunId()
    const files = await noteExport(this.#core, { file, run_id })
    const request_hash_sha256 = hashRequest({ bundle_kind, select, size, ...stated })
    // Gives every export run an end, even if it is never known whether its process is still alive.
    const lease_duration_s = limits.resourceLeaseSecondsMax
    try {
      const of = { action, actor, case_id, lease_duration_s, parent_run_id, request_hash_sha256, role_id, run_id }
      const { decision } = await this.#runs.begin(of)
      const { decision_id } = decision
      return { ...planned, case_id, decision_id, files, request_hash_sha256, run_id }
    } catch (error) {
      if (!isOutcomeUnknown(error)) files.end()
      throw error
    }
  }

  /**
   * The second part of `create`: writes the archive and the record, and puts them in place. It does not change the
   * ledger, so it also works on a snapshot.
   */
  async write({ approvals, asked, case_id, files, select, size, scope, stated }: BegunExport): Promise<WrittenExport> {
    const { bundle_kind, effects } = asked
    // At this point the lane has allowed the declared effects.
    const allowed_case = effects?.includes('cross_case_lookup') ? undefined : (case_id ?? null)
    const of = { allowed_case, bundle_kind, selection: select, size, stated }
    const { manifest, ...integrity } = await writeBundle(this.#core, of, files)
    const export_reason = noteSchema.safeParse(scope.export_reason).data
    const bundle = exportBundleSchema.parse({
      ...manifest,
      ...(approvals.length === 0 ? {} : { approvals }),
      ...given({ export_reason }),
      integrity: { ...integrity, package_locator: basename(files.file) },
    })
    try {
      await writeDurably(files.spooled('record'), recordTextOf(bundle), 0o600)
      files.place()
    } catch (error) {
      throw fileError(error, `writing ${files.file}`)
    }
    return { bundle }
  }

  /** The last part of `create`, on success: records the bundle and completes the run. */
  async finish(begun: BegunExport, { bundle }: WrittenExport): Promise<Exported> {
    const { actor, decision_id, files, request_hash_sha256, run_id } = begun
    const of = { actor, run_id }
    const text = recordTextOf(bundle)
    const response_hash_sha256 = bundle.integrity.manifest_hash_sha256
    const output_artifacts = artifactsOf(bundle, text)
    try {
      const hashes = { request_hash_sha256, response_hash_sha256 }
      await this.#record({ ...of, ...hashes, decision_id, outcome: 'success', output_artifacts }, text)
    } catch (error) {
      // A bundle that was not recorded must not be handed out.
      files.withdraw()
      if (!isOutcomeUnknown(error)) files.end()
      throw error
    }
    await this.#runs.complete({ ...of, outcome_reason: 'performed' })
    files.end()
    return { bundle, decision_id, file: files.file, record_file: files.recordFile, run_id }
  }

  /** The last part of `create`, on failure: removes the files, fails the run, and throws the error again. */
  async fail(begun: BegunExport, error: unknown): Promise<never> {
    const { actor, decision_id, files, request_hash_sha256, run_id } = begun
    files.withdraw()
    // If this fails, the note stays, and the next open ends the run.
    await failWith(this.#runs, { actor, decision_id, request_hash_sha256, run_id }, error)
    files.end()
    throw error
  }

  /**
   * The record of an exported bundle as the ledger keeps it: the newest export of a bundle, or the export of a run.
   * Errors: NOT_FOUND. Cost: for a run, one read per entry; for a bundle, the reads of the index and one read per
   * export.
   */
  async get(request: GetExport): Promise<ExportRecord> {
    const asked = parse(getExportSchema, request, 'export')
    const of = 'run_id' in asked ? { run_id: asked.run_id } : {}
    let found: ExportRecord | undefined
    for (let cursor = 0, complete = false; !complete; ) {
      const page = await this.#audit.entries({ ...of, action_type: 'export', cursor, limit: limits.readPageEntries })
      for (const { data, event_id, run_id = '' } of page.events) {
        if (typeof data.record_digest !== 'string') continue
        const bundle = exportBundleSchema.parse(await this.#core.views.object(data.record_digest))
        if ('run_id' in asked || bundle.bundle_id === asked.bundle_id) found = { bundle, event_id, run_id }
      }
      complete = page.complete
      cursor = page.next
    }
    if (found !== undefined) return found
    throw new LockstepError('NOT_FOUND', `no bundle was exported as ${Object.values(asked)[0]}`, { details: asked })
  }

  /** Appends the export's action event with the bundle's record. Callers of `runs.record` cannot pass such a record. */
  async #record(acted: z.input<typeof recordActionSchema>, text: string): Promise<void> {
    const { actor, idempotency_key: _, ...asked } = parse(recordActionSchema, acted, 'action')
    const bundle_record = { digest: sha256Hex(text), text }
    const command = { ...asked, bundle_record, policies: await this.#policy.known(), type: 'run.record' as const }
    refuseExpired(await submit(this.#core, command, { actor }))
  }
}

/** The archive and its record, as output artifacts. */
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
