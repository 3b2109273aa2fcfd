// Published as `lockstep/contract`: the schemas of `contract/v1` as zod schemas and types, and its two tables as data.
export { type ArtifactRef, artifactRefSchema } from './core/artifact-ref.ts'
export { type AuditEvent, auditEventSchema } from './core/audit-event.ts'
export { type RecordedEntry as Entry, recordedEntrySchema as entrySchema } from './core/event-schemas.ts'
export { type ExportBundle, exportBundleSchema } from './core/export-bundle.ts'
export { type LockContention, lockContentionSchema } from './core/lock/contention-schema.ts'
export { type LockFile, lockFileSchema } from './core/lock/lock-file.ts'
export { type RunLock, runLockSchema } from './core/lock/run-lock-file.ts'
export { renderedEvent } from './core/rendered-event.ts'
export { type Rendering, renderingOf, renderings } from './core/rendering.ts'
export { type RunRecord, runRecordSchema } from './core/run/run-record.ts'
export { type Issue, issueSchema, noticeCodes } from './core/turn/issue.ts'
export {
  type PromotionResult,
  promotionResultSchema,
  type Tombstone,
  type Triplet,
  tombstoneSchema,
  tripletSchema,
} from './core/turn/triplet.ts'
export { type Code, codes } from './errors.ts'
