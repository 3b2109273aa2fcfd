import { createHash } from 'node:crypto'
import type { LedgerCommand } from '../../../src/domain/aggregates.ts'
import type { AuditRecorded } from '../../../src/domain/audit/events.ts'
import type {
  Acquire,
  Claim,
  FileOrphan,
  ProjectFacts,
  Release,
  ReleaseProject,
  ReportFile,
} from '../../../src/domain/lock/commands.ts'
import type { RecoveryReason } from '../../../src/domain/lock/events.ts'
import type { Evidence } from '../../../src/domain/lock/liveness.ts'
import type { Guard } from '../../../src/kernel/decider.ts'
import type { Actor } from '../../../src/kernel/ids.ts'
import { becca, type World, worker } from './world.ts'

/** A command as a row of a table says it; what it needs of the world (its clock) is filled in when it is done. */
export interface Step {
  actor: Actor
  command: (world: World) => LedgerCommand
}

const refs = new Map<string, string>()

/** What the ledger shows of a lock_id; the tables name lock_ids with one letter. */
export function refOf(lock: string): string {
  const ref = refs.get(lock) ?? createHash('sha256').update(lock).digest('hex').slice(0, 16)
  refs.set(lock, ref)
  return ref
}

export const evidenceOf = (pid: number): Evidence => ({
  boot_id: 'boot-1',
  host: 'desk',
  host_id: 'host-1',
  pid,
  pid_ns: 'pid:[1]',
  start_time: String(pid * 10),
})

export interface AcquireOptions {
  actor?: Actor
  /** The grant whose holder was probed dead. */
  dead?: { token: number; reason: RecoveryReason }
  alive?: 'unknown' | 'yes'
  evidence?: readonly Evidence[]
  holder?: string
  lease_s?: number
  lock?: string
}

export function acquire(name: string, options: AcquireOptions = {}): Step {
  return { actor: options.actor ?? worker, command: () => acquireCommand(name, options) }
}

export interface DeliverableOptions extends AcquireOptions {
  folder?: string
  orphan?: FileOrphan
  /** Without a claim the command only asks how things stand. */
  claimed?: boolean
}

/** A deliverable's claim is written from the clock before the command is queued. */
export function acquireDeliverable(id: string, options: DeliverableOptions = {}): Step {
  const { actor = worker, claimed = true, folder = `work/${id}_Title`, orphan } = options
  const claimAt = (world: World): Claim => ({
    acquired: world.time,
    deliverable_id: id,
    folder,
    lease_clock: world.now.lease_clock,
  })
  const command = (world: World): Acquire => ({
    ...acquireCommand(`deliverable:${id}`, options),
    claim: claimed ? claimAt(world) : undefined,
    file_orphan: orphan,
  })
  return { actor, command }
}

export const project = 'project:TEST001/GOVERNANCE/iambecca-test-run'
export const runOf = (seq: number): string => `run_TEST001_iambecca-test-run_2026-02-02_00${seq}`

export function acquireProject(
  seq: number,
  { actor = worker, ...facts }: { actor?: Actor } & Partial<ProjectFacts> = {},
): Step {
  const run_id = runOf(seq)
  const command: Acquire = {
    type: 'lock.acquire',
    name: project,
    holder: run_id,
    lock_ref: refOf(run_id),
    lease_duration_s: null,
    evidence: [],
    project: {
      lock_reason: 'P0_INVENTORY initialization',
      release_conditions: ['state == COMPLETE', 'manual override by BECCA'],
      run_id,
      target_name: 'IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run | NEO',
      ...facts,
    },
  }
  return { actor, command: () => command }
}

export function acquireAll(names: readonly string[], { actor = worker, ...options }: AcquireOptions = {}): Step {
  const locks = names.map((name) => acquireCommand(name, { ...options, lock: `${options.lock ?? 'A'} ${name}` }))
  return { actor, command: () => ({ type: 'lock.acquire_all', locks }) }
}

type Whose = { actor?: Actor; lock?: string }

export const renew = (name: string | null, { actor = worker, lock = 'A' }: Whose = {}): Step => ({
  actor,
  command: () => ({ type: 'lock.renew', name, lock_ref: refOf(lock) }),
})

/** A deliverable's renewal rewrites its file first, so its lease counts from what the file says. */
export const renewDeliverable = (id: string, { actor = worker, lock = 'A' }: Whose = {}): Step => ({
  actor,
  command: ({ now, time }) => ({
    type: 'lock.renew',
    name: `deliverable:${id}`,
    lock_ref: refOf(lock),
    claim: { acquired: time, lease_clock: now.lease_clock },
  }),
})

export const release = (name: string | null, options: Whose & Partial<Pick<Release, 'outcome'>> = {}): Step => ({
  actor: options.actor ?? worker,
  command: () => ({
    type: 'lock.release',
    name,
    lock_ref: refOf(options.lock ?? 'A'),
    outcome: options.outcome ?? 'success',
  }),
})

export function releaseProject(seq: number, options: { actor?: Actor } & Partial<ReleaseProject> = {}): Step {
  const { actor = becca, ...facts } = options
  const command: ReleaseProject = {
    type: 'lock.release_project',
    name: project,
    run_id: runOf(seq),
    final_status: 'COMPLETE',
    override: false,
    ...facts,
  }
  return { actor, command: () => command }
}

type Care = { actor?: Actor; dead?: AcquireOptions['dead']; orphan?: FileOrphan; reason?: string }

export const recover = (name: string, { actor = worker, dead, orphan, reason = 'it hangs' }: Care = {}): Step => ({
  actor,
  command: () => ({ type: 'lock.recover', name, reason, death: dead, file_orphan: orphan }),
})

export const breakLock = (name: string, { actor = becca, reason = 'it must go' }: Care = {}): Step => ({
  actor,
  command: () => ({ type: 'lock.break', name, reason }),
})

export const retire = (id: string, { actor = worker, dead, folder }: Care & { folder?: string } = {}): Step => ({
  actor,
  command: () => ({
    type: 'lock.retire',
    name: `deliverable:${id}`,
    folder: folder ?? `work/${id}_Title`,
    reason: null,
    death: dead,
  }),
})

export const report = (name: string, facts: ReportFile['report']): Step => ({
  actor: worker,
  command: () => ({ type: 'lock.report_file', name, report: facts }),
})

const something: AuditRecorded = { action_type: 'system', outcome: 'success' }

export const record = (guard?: Guard): Step => ({
  actor: worker,
  command: () => ({ type: 'audit.append', events: [something], guard }),
})

function acquireCommand(name: string, options: AcquireOptions): Acquire {
  const { alive, dead, evidence = [evidenceOf(100)], holder = 'TASK', lease_s = 1_800, lock = 'A' } = options
  return {
    type: 'lock.acquire',
    name,
    holder,
    lock_ref: refOf(lock),
    lease_duration_s: lease_s,
    evidence,
    ...(alive === undefined ? {} : { holder_alive: alive }),
    death: dead,
  }
}
