// Published as `lockstep/contract`: the schemas of `contract/v1` as zod schemas and types, and its two tables as data.

export { type AuditEvent, auditEventSchema } from './domain/audit/audit-event.ts'
export { type RecordedEntry as Entry, recordedEntrySchema as entrySchema } from './domain/event-schemas.ts'
export { type ExportBundle, exportBundleSchema } from './domain/export/bundle.ts'
export { type LockContention, lockContentionSchema } from './domain/lock/contention-schema.ts'
export { type LockFile, lockFileSchema } from './domain/lock/lock-file.ts'
export { type RunLock, runLockSchema } from './domain/lock/run-lock-file.ts'
export { renderedEvent, renderingOf, renderings } from './domain/rendered-event.ts'
export { type RunRecord, runRecordSchema } from './domain/run/run-record.ts'
export { type Issue, issueSchema, noticeCodes } from './domain/turn/issue.ts'
export {
  type PromotionResult,
  promotionResultSchema,
  type Tombstone,
  type Triplet,
  tombstoneSchema,
  tripletSchema,
} from './domain/turn/triplet.ts'
export { type Code, codes } from './errors.ts'
export { type ArtifactRef, artifactRefSchema } from './kernel/artifact-ref.ts'
export type { Rendering } from './kernel/rendering.ts'
