export type { Api, Ledger } from './api/api.ts'
export type { AuditApi } from './api/audit.ts'
export type { ClockApi, ClockReset, ResetClock } from './api/clock.ts'
export type { ConfigApi } from './api/config.ts'
export type { ErasuresApi } from './api/erasures.ts'
export type { ExportsApi } from './api/exports.ts'
export type { LocksApi } from './api/locks.ts'
export type { HeadApi, LogApi } from './api/log.ts'
export type { CallOptions } from './api/operation.ts'
export type { PolicyApi } from './api/policy.ts'
export type { RetentionApi } from './api/retention.ts'
export type { RunsApi } from './api/runs.ts'
export type { AppendEvents, AppendedEvents, EntryPage, EventPage, ListEvents } from './api/shapes/audit.ts'
export type { CheckedConfig, ConfigInForce, ReloadConfig, ReloadedConfig } from './api/shapes/config.ts'
export type {
  ApprovedErasure,
  ApproveErasure,
  ErasedTexts,
  EraseTexts,
  PreviewErasure,
  PreviewedErasure,
} from './api/shapes/erasures.ts'
export type {
  ApprovedExport,
  ApproveExport,
  CreatedExport,
  CreateExport,
  ExportOfRun,
  OfBundle,
  RecordedExport,
} from './api/shapes/exports.ts'
export type {
  AcquireAll,
  AcquireDeliverable,
  AcquireProject,
  AcquireResource,
  BreakLock,
  CheckedLock,
  CheckLock,
  EndedLock,
  EntryList,
  FileList,
  Grant,
  GrantList,
  ImportedFile,
  ImportFile,
  ListLocks,
  LockHistory,
  LockList,
  LockState,
  OfLock,
  RecoverLock,
  ReleasedLock,
  ReleaseLock,
  ReleaseProject,
  Renewal,
  RenewLock,
  RetiredFolder,
  RetireFolder,
} from './api/shapes/locks.ts'
export type {
  CompareSizes,
  ConsistencyProof,
  EntryProof,
  FollowEntries,
  OfEntry,
  ProveEntry,
  PublishedHead,
  ReadEntries,
  SignedHead,
  SignHead,
  VerifiedLedger,
} from './api/shapes/log.ts'
export type {
  CheckedPolicy,
  ExplainForRole,
  ExplainInRun,
  PolicyInForce,
  PolicyVerdict,
  ReloadedPolicy,
  ReloadPolicy,
} from './api/shapes/policy.ts'
export type {
  HeldTexts,
  HoldTexts,
  LiftedHold,
  LiftHold,
  ShownRetention,
  SweepTexts,
  SweptTexts,
} from './api/shapes/retention.ts'
export type {
  AuthorizeAction,
  CancelledTree,
  CancelRun,
  CompleteRun,
  CreateRun,
  DecidedAction,
  DenyRun,
  FailRun,
  Heartbeat,
  ListRuns,
  OfRun,
  RecordAction,
  RecoverRun,
  RetryRun,
  RunList,
  RunReasons,
  RunTree,
  StartRun,
} from './api/shapes/runs.ts'
export type {
  CreatedToken,
  CreateToken,
  ListTokens,
  RevokedToken,
  RevokeToken,
  TokenList,
} from './api/shapes/tokens.ts'
export type {
  ApplyTurn,
  ListTurns,
  OfTurn,
  PromotedTurn,
  PromoteTurn,
  RejectTurn,
  StagedTurn,
  StageTurn,
  TurnList,
  TurnState,
  TurnVerdict,
  ValidateTurn,
} from './api/shapes/turns.ts'
export type {
  CheckOfRun,
  CheckOfWorkflow,
  ComparedFiles,
  DigestOfRun,
  DigestOfWorkflow,
  FilesState,
  LedgerObject,
  OfObject,
  RefSources,
  ShownStem,
  StemOfRun,
  StemOfWorkflow,
  WorkspaceDigest,
  WorkspaceOfRun,
  WorkspaceOfWorkflow,
} from './api/shapes/workspaces.ts'
export type { ConsumedStaging, ConsumeStaging, StagingApi, StagingFolder, StagingOfTurn } from './api/staging.ts'
export type { TokensApi } from './api/tokens.ts'
export type { TurnsApi } from './api/turns.ts'
export type { WorkspacesApi } from './api/workspaces.ts'
export type { AuditEvent } from './domain/audit/audit-event.ts'
export type { RunRecord } from './domain/run/run-record.ts'
export type { Issue } from './domain/turn/issue.ts'
export type { RefRecord, Tombstone, Triplet } from './domain/turn/triplet.ts'
export { type Code, codes, LockstepError } from './errors.ts'
export { readStaging } from './files/staging/staging.ts'
export type { ArtifactRef } from './kernel/artifact-ref.ts'
export type { Entry } from './kernel/entry.ts'
export type { Actor } from './kernel/ids.ts'
export { type HoldRequest, hold, type Lease, type LeaseOptions, lease } from './lease.ts'
export type { LocalLedger } from './ledger.ts'
export { type VerifiedExport, verifyExport } from './nouns/exports/export-verify.ts'
export { type Performed, type PerformRequest, perform } from './nouns/runs/performing.ts'
export { type OpenLedgerOptions, openLedger } from './open.ts'
export { hashRequest } from './writer/core.ts'
