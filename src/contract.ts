// Published as `lockstep/contract`: the schemas of `contract/v1` as zod and types, and its two tables as data.
export { type RecordedEntry as Entry, recordedEntrySchema as entrySchema } from './core/event-schemas.ts'
export { type LockContention, lockContentionSchema } from './core/lock/contention-schema.ts'
export { type LockFile, lockFileSchema } from './core/lock/lock-file.ts'
export { type RunLock, runLockSchema } from './core/lock/run-lock-file.ts'
export { type Rendering, renderingOf, renderings } from './core/rendering.ts'
export { type Code, codes } from './errors.ts'
