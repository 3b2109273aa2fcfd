import * as z from 'zod'
import * as commands from '../../domain/lock/inputs.ts'
import { lockKinds, lockNameSchema } from '../../domain/lock/names.ts'
import { limits } from '../../kernel/limits.ts'
import { hints } from '../hints.ts'
import { entry, files, fullName, hash, path, seq, time } from './basics.ts'

export const acquireResource = commands.acquireResourceSchema
export interface AcquireResource extends z.input<typeof acquireResource> {}

export const acquireDeliverable = commands.acquireDeliverableSchema
export interface AcquireDeliverable extends z.input<typeof acquireDeliverable> {}

export const acquireProject = commands.acquireProjectSchema
export interface AcquireProject extends z.input<typeof acquireProject> {}

export const acquirePaths = commands.acquirePathsSchema
export interface AcquirePaths extends z.input<typeof acquirePaths> {}

export const acquireAll = commands.acquireAllSchema
export interface AcquireAll extends z.input<typeof acquireAll> {}

export const renew = commands.renewSchema
export interface RenewLock extends z.input<typeof renew> {}

export const release = commands.releaseSchema
export interface ReleaseLock extends z.input<typeof release> {}

export const releaseProject = commands.releaseProjectSchema
export interface ReleaseProject extends z.input<typeof releaseProject> {}

export const recover = commands.recoverSchema
export interface RecoverLock extends z.input<typeof recover> {}

export const breakLock = commands.breakSchema
export interface BreakLock extends z.input<typeof breakLock> {}

export const breakFolder = commands.breakFolderSchema
export interface BreakFolder extends z.input<typeof breakFolder> {}

export const retire = commands.retireSchema
export interface RetireFolder extends z.input<typeof retire> {}

export const ofLock = z.strictObject({ name: lockNameSchema, token: seq.optional() })
export interface OfLock extends z.input<typeof ofLock> {}

export const ofFolder = z.strictObject({ folder: path })
export interface OfFolder extends z.input<typeof ofFolder> {}

export const list = z.strictObject({
  orphans: z.boolean().default(false),
  paths: z.array(z.string().min(1).max(limits.pathBytes)).min(1).max(limits.pathsListed).optional(),
  under: path.optional(),
})
export interface ListLocks extends z.input<typeof list> {}

export const history = commands.historySchema
export interface LockHistory extends z.input<typeof history> {}

export const check = commands.checkSchema
export interface CheckLock extends z.input<typeof check> {}

export const importFile = commands.importSchema
export interface ImportFile extends z.input<typeof importFile> {}

export const grant = z.strictObject({
  acquired: time,
  current: z.boolean(),
  deliverable_id: z.string().exactOptional(),
  expires_at: time.nullable(),
  files: files.exactOptional(),
  folder: z.string().exactOptional(),
  holder: z.string(),
  lease_duration_s: z.int().min(1).nullable(),
  lock_id: z.string(),
  lock_ref: z.string(),
  name: fullName,
  paths: z.array(z.string()).exactOptional(),
  replayed: z.boolean(),
  run_id: z.string().exactOptional(),
  shared: z.boolean().exactOptional(),
  target_name: z.string().exactOptional(),
  token: seq,
  warning: z.string().exactOptional(),
  worktree: z.string().exactOptional(),
})
/** A granted lock as plain data. `token` fences; `lock_id` is the holder's secret. */
export interface Grant extends z.output<typeof grant> {}

export const grants = z.strictObject({ grants: z.array(grant) })
export interface GrantList extends z.output<typeof grants> {}

export const renewal = z.strictObject({
  acquired: time,
  expires_at: time,
  name: fullName,
  renewals: z.int().min(1),
  token: seq,
})
/** A lease that was renewed. */
export interface Renewal extends z.output<typeof renewal> {}

export const released = z.strictObject({
  files: files.exactOptional(),
  held_ms: z.int().min(0),
  late: z.boolean(),
  name: fullName,
  outcome: z.enum(['failure', 'success']),
  released: time,
  replayed: z.boolean(),
  token: seq,
})
/** A grant that its holder, or the release authority, ended. */
export interface ReleasedLock extends z.output<typeof released> {}

export const status = z.strictObject({
  acquired: z.string().exactOptional(),
  actor_id: z.string().exactOptional(),
  authn: z.string().exactOptional(),
  first_waiting: z
    .strictObject({ actor_id: z.string(), authn: z.string().exactOptional(), holder: z.string() })
    .exactOptional(),
  folder: z.string().exactOptional(),
  held_name: fullName.exactOptional(),
  holder: z.string().exactOptional(),
  holder_alive: z.enum(['no', 'unknown', 'yes']).exactOptional(),
  host: z.string().exactOptional(),
  kind: z.enum(lockKinds),
  last_seq: seq.nullable(),
  lease_remaining_s: z.int().nullable().exactOptional(),
  lock_ref: z.string().exactOptional(),
  name: fullName,
  orphan_reason: z.string().exactOptional(),
  paths: z.array(z.string()).exactOptional(),
  pids: z.array(z.int()).exactOptional(),
  reason: z.string().exactOptional(),
  renewals: z.int().min(0).exactOptional(),
  run_id: z.string().exactOptional(),
  shared: z.boolean().exactOptional(),
  state: z.enum(['free', 'held', 'orphan']),
  target_name: z.string().exactOptional(),
  token: seq.exactOptional(),
  waiting: z.int().min(0),
  worktree: z.string().exactOptional(),
})
/** The state of a lock at the moment of the call: computed, not recorded. */
export interface LockState extends z.output<typeof status> {}

export const listed = z.strictObject({ locks: z.array(status) })
export interface LockList extends z.output<typeof listed> {}

export const entries = z.strictObject({ entries: z.array(entry) })
export interface EntryList extends z.output<typeof entries> {}

export const ended = z.strictObject({
  aside: z.string().exactOptional(),
  digest: hash.exactOptional(),
  dry_run: z.boolean(),
  files: files.exactOptional(),
  name: fullName,
  previous_holder: z.string().nullable(),
  previous_token: seq.nullable(),
  recovery_reason: z.string().nullable(),
  seq: seq.nullable(),
  status: status.exactOptional(),
})
/** A grant that somebody other than its holder ended; with `dry_run` the evidence alone. */
export interface EndedLock extends z.output<typeof ended> {}

export const retired = z.strictObject({ folder: z.string(), name: fullName, recovered: z.boolean() })
export interface RetiredFolder extends z.output<typeof retired> {}

export const checked = z.strictObject({ run_id: z.string(), target_name: z.string(), token: seq })
export interface CheckedLock extends z.output<typeof checked> {}

export const imported = z.strictObject({ replayed: z.boolean(), seq, type: z.string() })
export interface ImportedFile extends z.output<typeof imported> {}

export const fileList = z.strictObject({ files: z.array(z.string()) })
export interface FileList extends z.output<typeof fileList> {}

hints.add(acquireDeliverable, {
  lease_duration_s: {
    about: 'How long the lease lasts. By default 1,800 s, or the nearest that the configuration allows.',
  },
  reason: { about: 'Why the lock is held, for those who find it held.' },
})
hints.add(acquirePaths, { reason: { about: 'Why the paths are locked, for those who find them held.' } })
hints.add(acquireResource, { reason: { about: 'Why the lock is held, for those who find it held.' } })
hints.add(acquireProject, {
  reason: { about: 'Why the project is locked.' },
  run_id: { about: 'The run that locks it.' },
})
hints.add(list, { paths: { about: 'Only locks in the way of a change to one of these files or subtrees.' } })
hints.add(ofLock, { token: { about: 'Of several shared grants of one path, the one with this token.' } })
hints.add(release, { outcome: { about: 'Whether the work under the lock succeeded.' } })
hints.add(releaseProject, { run_id: { about: 'The run that holds the lock.' } })
hints.add(recover, { folder: { about: 'The folder of the deliverable, where the ledger does not know it.' } })
hints.add(history, { cursor: { about: 'Only entries before this seq: that of the last entry of the page before.' } })
hints.add(retire, { folder: { about: 'The folder that will be moved or deleted.' } })
hints.add(importFile, { file: { about: 'The RUN_LOCK.json.' } })
hints.add(fileList, { files: { about: 'The paths of the files.' } })
hints.add(released, { outcome: { about: 'Whether the work under the lock succeeded.' } })
hints.add(breakFolder, { folder: { about: 'The deliverable folder whose lock or lock file is broken.' } })
hints.add(ofFolder, { folder: { about: 'The deliverable folder.' } })
hints.add(ended, {
  aside: { about: 'Where the bytes of a lock file are kept that no grant explained, below the root.' },
  digest: { about: 'The SHA-256 of those bytes.' },
  seq: { about: 'The entry that ended the grant; null with `dry_run`.' },
  status: { about: 'The state of the lock, with `dry_run`.' },
})
hints.add(imported, { seq: { about: 'The last entry that the import appended.' } })
