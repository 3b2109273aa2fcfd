import { basename } from 'node:path'
import { nanoid } from 'nanoid'
import type { z } from 'zod'
import type { Api } from '../../api/api.ts'
import type { ExportsApi } from '../../api/exports.ts'
import type * as shapes from '../../api/shapes/exports.ts'
import type { RecordAction } from '../../api/shapes/runs.ts'
import { fileError, writeDurably } from '../../disk/durable.ts'
import type { ApprovalEventData } from '../../domain/approval/events.ts'
import { roleOf } from '../../domain/approval/state.ts'
import { type ExportBundle, exportBundleSchema, recordTextOf } from '../../domain/export/bundle.ts'
import { assertRedaction } from '../../domain/withheld.ts'
import { invariant, LockstepError } from '../../errors.ts'
import { isOutcomeUnknown } from '../../files/deliverable/claims.ts'
import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { Json } from '../../kernel/canonical.ts'
import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import type { RecordedActor } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { caseIdSchema, noteSchema } from '../../kernel/vocabulary.ts'
import { type Core, sha256Hex, submit } from '../../writer/core.ts'
import { parse } from '../../writer/parse.ts'
import type { PolicyOfLedger } from '../policy/policy.ts'
import { begin, completeIn, failWith } from '../runs/performing.ts'
import { refuseEnded } from '../runs/run-outcomes.ts'
import { callsFor, type Handlers } from '../served.ts'
import { proveApprovals } from './export-approvals.ts'
import { type BegunExport, planExport, requestHashOf, sizeUpTo, type WrittenExport } from './export-plan.ts'
import { noteExport } from './export-recovery.ts'
import { writeBundle } from './export-write.ts'
import { selectsOtherCase } from './other-cases.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>

/** Entries with proofs, for readers without the ledger. */
export class Exports implements Handlers<ExportsApi> {
  readonly #api: Pick<Api, 'audit' | 'runs'>
  readonly #core: Core
  readonly #policy: PolicyOfLedger

  /** Exports append through the operations of audit and runs, as any caller does. */
  constructor(core: Core, policy: PolicyOfLedger, api: Pick<Api, 'audit' | 'runs'>) {
    this.#api = api
    this.#core = core
    this.#policy = policy
  }

  async approve(input: Given<typeof shapes.approve>): Promise<shapes.ApprovedExport> {
    const { actor = this.#core.actor, idempotency_key, ...asked } = input
    const { bundle_kind, redaction, select, size, ...rest } = asked
    assertRedaction(redaction)
    const bundle = { bundle_kind, ...given({ redaction }), select, size: sizeUpTo(this.#core, size) }
    const command = { ...rest, approval_id: `apr_${nanoid()}`, bundle, type: 'approval.give' as const }
    // The request's content excludes the generated id and the size by default, because they differ at each retry.
    const content = { ...asked, command: command.type } as unknown as Json
    const request = idempotency_key === undefined ? undefined : { key: idempotency_key, content }
    // The approver claims the role that the type demands. The decision checks whether the approver may.
    const approver = { ...actor, role_id: actor.role_id ?? roleOf(rest.approval_type) }
    const { entries, replayed } = await submit(this.#core, command, { actor: approver, request })
    const [entry] = entries
    invariant(entry?.type === 'approval.given', 'an approval is given by one entry')
    const { data, event_id, seq } = entry as Entry<'approval.given', ApprovalEventData<'approval.given'>>
    return {
      approval_id: data.approval_id,
      event_id,
      expires_at: data.expires_at,
      replayed,
      seq,
      size: data.bundle.size,
    }
  }

  async create(request: Given<typeof shapes.create>): Promise<shapes.CreatedExport> {
    const begun = await this.begin(request)
    const written = await this.write(begun).catch((error: unknown) => this.fail(begun, error))
    return this.finish(begun, written)
  }

  /**
   * Resolves when the index has reached the size that the export needs. Errors: INVALID_INPUT and NOT_FOUND, as in
   * `create`.
   */
  async ready(request: Given<typeof shapes.create>): Promise<void> {
    const { select, size } = (await planExport(this.#core, this.#policy, request)).bundle
    if ('run_id' in select || 'case_id' in select) await this.#core.index.reached(size)
  }

  /**
   * The first part of `create`: authorizes the run and notes the export. If this process dies, the note lets the next
   * open end the run and remove the files. The caller must then write and finish the export, or fail it. Errors: see
   * `create`.
   */
  async begin(request: Given<typeof shapes.create>): Promise<BegunExport> {
    const planned = await planExport(this.#core, this.#policy, request)
    const { actor, bundle, file } = planned
    const { lane_id, parent_run_id, role_id, scope } = planned.asked
    const case_id = parse(caseIdSchema.optional(), scope.case_id, 'scope.case_id')
    const crossed = (await selectsOtherCase(this.#core, { ...bundle, case_id })) ? ['cross_case_lookup'] : []
    const effects = [...(planned.asked.effects ?? []), ...crossed]
    const asked = { ...planned.asked, effects }
    const target = { name: 'export_bundle.create' }
    const action = { action_type: 'export' as const, bundle, effects, lane_id, scope, target }
    const run_id = this.#core.newRunId()
    const files = await noteExport(this.#core, { file, run_id })
    const request_hash_sha256 = requestHashOf(planned)
    // Gives every export run an end, even if it is never known whether its process is still alive.
    const lease_duration_s = limits.resourceLeaseSecondsMax
    const made = { files, request_hash_sha256, run_id }
    let begun: BegunExport
    try {
      const of = { action, case_id, lease_duration_s, parent_run_id, request_hash_sha256, role_id, run_id }
      const { decision } = await begin(this.#as(actor), of)
      begun = { ...planned, asked, approvals: undefined, case_id, decision_id: decision.decision_id, ...made }
    } catch (error) {
      if (!isOutcomeUnknown(error)) files.end()
      throw error
    }
    // A snapshot for the writing may be older than the decision, so the approvals are proven here.
    const proven = proveApprovals(this.#core, bundle.approvals ?? [], bundle.size)
    return { ...begun, approvals: await proven.catch((error: unknown) => this.fail(begun, error)) }
  }

  /**
   * The second part of `create`: writes the archive and the record, and puts them in place. It does not change the
   * ledger, so it also works on a snapshot.
   */
  async write(begun: BegunExport): Promise<WrittenExport> {
    const { approvals, asked, case_id, files, stated } = begun
    const { bundle_kind, select, size } = begun.bundle
    const { effects, scope } = asked
    // At this point the lane has allowed the declared effects.
    const allowed_case = effects?.includes('cross_case_lookup') ? undefined : (case_id ?? null)
    const of = { allowed_case, approvals, bundle_kind, selection: select, size, stated }
    const { manifest, ...integrity } = await writeBundle(this.#core, of, files)
    const export_reason = noteSchema.safeParse(scope.export_reason).data
    const bundle = exportBundleSchema.parse({
      ...manifest,
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
  async finish(begun: BegunExport, { bundle }: WrittenExport): Promise<shapes.CreatedExport> {
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
    await completeIn(this.#as(actor), { run_id, outcome_reason: 'performed' })
    files.end()
    return { bundle, decision_id, file: files.file, record_file: files.recordFile, run_id }
  }

  /** The last part of `create`, on failure: removes the files, fails the run, and throws the error again. */
  async fail(begun: BegunExport, error: unknown): Promise<never> {
    const { actor, decision_id, files, request_hash_sha256, run_id } = begun
    files.withdraw()
    // If this fails, the note stays, and the next open ends the run.
    await failWith(this.#as(actor), { decision_id, request_hash_sha256, run_id }, error)
    files.end()
    throw error
  }

  async get(asked: Given<typeof shapes.ofBundle> | Given<typeof shapes.ofRun>): Promise<shapes.RecordedExport> {
    const of = 'run_id' in asked ? { run_id: asked.run_id } : {}
    let found: shapes.RecordedExport | undefined
    for (let cursor = 0, complete = false; !complete; ) {
      const page = await this.#api.audit.entries({
        ...of,
        action_type: 'export',
        cursor,
        limit: limits.readPageEntries,
      })
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

  /** The operations in the name of the caller of this operation. */
  #as(actor: RecordedActor | undefined): Pick<Api, 'audit' | 'runs'> {
    return { audit: callsFor(this.#api.audit, actor), runs: callsFor(this.#api.runs, actor) }
  }

  /** Appends the export's action event with the bundle's record. Callers of `runs.record` cannot pass such a record. */
  async #record({ actor, ...asked }: RecordAction, text: string): Promise<void> {
    const bundle_record = { digest: sha256Hex(text), text }
    const command = {
      ...asked,
      bundle_record,
      policies: await this.#policy.known(asked.run_id),
      type: 'run.record' as const,
    }
    refuseEnded(await submit(this.#core, command, { actor }))
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
