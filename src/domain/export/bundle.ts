import * as z from 'zod'
import { artifactRefSchema, locatorSchema } from '../../kernel/artifact-ref.ts'
import {
  approvalTypes,
  caseIdSchema,
  eventIdsSchema,
  line,
  longLine,
  noteSchema,
  pairsSchema,
  policyVersionsSchema,
  runIdSchema,
  sha256Schema,
  taxonomyVersionsSchema,
  utcSchema,
} from '../../kernel/vocabulary.ts'
import { bundleKindSchema, redactionSchema } from '../approval/exported.ts'

const includedTable = z.strictObject({
  format: z.enum(['csv', 'json', 'parquet', 'pdf', 'other']),
  hash_sha256: sha256Schema.nullish(),
  name: line,
  row_count: z.int().min(0).nullish(),
})

const contents = z.strictObject({
  artifacts: z.array(artifactRefSchema).min(1).max(1_000),
  filters: pairsSchema.nullish(),
  included_tables: z.array(includedTable).max(200).nullish(),
})

const integrity = z.strictObject({
  manifest_hash_sha256: sha256Schema,
  package_hash_sha256: sha256Schema,
  package_locator: locatorSchema,
})

const approval = z.strictObject({
  approval_type: z.enum(approvalTypes),
  approved_at_utc: utcSchema,
  approved_by: line,
  notes: noteSchema.nullish(),
})

const signature = z.strictObject({
  signature_ref: locatorSchema.nullish(),
  signature_type: z.enum(['human_attestation', 'system_signing', 'notarization']),
  signed_at_utc: utcSchema,
  signed_by: line,
})

/** The record of an export: its content, its purpose, and its hashes (Run Lifecycle, Contract v1, section 10.2). */
export const exportBundleSchema = z.strictObject({
  approvals: z.array(approval).max(20).nullish(),
  audit: z
    .strictObject({ audit_event_ids: eventIdsSchema.nullish(), run_ids: z.array(runIdSchema).max(1_000).nullish() })
    .nullish(),
  bundle_description: noteSchema.nullish(),
  bundle_id: line.min(8),
  bundle_kind: bundleKindSchema,
  bundle_name: longLine.nullish(),
  case_id: caseIdSchema.nullish(),
  completed_at_utc: utcSchema.nullish(),
  contents,
  contract_version: z.literal('v1'),
  created_at_utc: utcSchema,
  created_by: line,
  export_reason: noteSchema.nullish(),
  integrity,
  matter_id: line.nullish(),
  policy_versions: policyVersionsSchema,
  redaction: redactionSchema.nullish(),
  scope: z.enum(['case', 'shared', 'system']).nullish(),
  signatures: z.array(signature).max(20).nullish(),
  status: z.enum(['created', 'assembling', 'completed', 'failed', 'cancelled', 'denied']),
  taxonomy_versions: taxonomyVersionsSchema.nullish(),
})
export type ExportBundle = z.infer<typeof exportBundleSchema>

/** The text of a bundle's record, which is hashed, stored, and written beside the archive. Errors: a ZodError. */
export function recordTextOf(bundle: ExportBundle): string {
  return `${JSON.stringify(exportBundleSchema.parse(bundle), null, 2)}\n`
}

/** The caller's statements about a bundle: its name, its purpose, and what was redacted. */
export const statedSchema = exportBundleSchema.pick({
  bundle_description: true,
  bundle_name: true,
  matter_id: true,
  redaction: true,
})
export type Stated = z.infer<typeof statedSchema>

/** The record inside the bundle, without the hashes that are made over the bundle. */
export const exportManifestSchema = exportBundleSchema.omit({ integrity: true })
export type ExportManifest = z.infer<typeof exportManifestSchema>
