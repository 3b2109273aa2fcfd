import * as z from 'zod'
import * as commands from '../../domain/run/commands.ts'
import { runEventSchemas } from '../../domain/run/events.ts'
import { type RunRecord, runRecordSchema } from '../../domain/run/run-record.ts'
import { runIdSchema, runStatuses } from '../../kernel/vocabulary.ts'
import { hints } from '../hints.ts'
import { seq } from './basics.ts'

export const create = commands.createRunSchema
export interface CreateRun extends z.input<typeof create> {}

export const start = commands.startRunSchema
export interface StartRun extends z.input<typeof start> {}

export const recover = commands.recoverRunSchema
export interface RecoverRun extends z.input<typeof recover> {}

export const heartbeat = commands.heartbeatSchema
export interface Heartbeat extends z.input<typeof heartbeat> {}

export const authorize = commands.authorizeSchema
export interface AuthorizeAction extends z.input<typeof authorize> {}

export const record = commands.recordActionSchema
export interface RecordAction extends z.input<typeof record> {}

export const complete = commands.completeRunSchema
export interface CompleteRun extends z.input<typeof complete> {}

export const fail = commands.failRunSchema
export interface FailRun extends z.input<typeof fail> {}

export const deny = commands.denyRunSchema
export interface DenyRun extends z.input<typeof deny> {}

export const cancel = commands.cancelRunSchema
export interface CancelRun extends z.input<typeof cancel> {}

export const retry = commands.retryRunSchema
export interface RetryRun extends z.input<typeof retry> {}

export const ofRun = z.strictObject({ run_id: runIdSchema })
export interface OfRun extends z.input<typeof ofRun> {}

export const list = commands.listRunsSchema
export interface ListRuns extends z.input<typeof list> {}

export const run = runRecordSchema

/** The run at the top of a cancelled tree, and the number of runs below it that the call ended. */
export const cancelledTree = z.strictObject({ cancelled_below: z.int().min(0), run })
export interface CancelledTree extends z.output<typeof cancelledTree> {}

const { decision, missing, reason, rule_ids } = runEventSchemas['run.decided'].shape

export const decided = z.strictObject({
  decision,
  decision_id: z.string(),
  missing,
  pins: z.strictObject({ lanes: z.string(), roles: z.string() }),
  reason,
  replayed: z.boolean(),
  rule_ids,
})
/** The decision about an action. The `decision_id` of an allow names it when its outcome is recorded. */
export interface DecidedAction extends z.output<typeof decided> {}

export const listed = z.strictObject({
  lease_expired: z.array(z.string()),
  next: z.string().nullable(),
  process_dead: z.array(z.string()),
  runs: z.array(run),
})
export interface RunList extends z.output<typeof listed> {}

/** A run and all runs below it. */
export interface RunTree {
  children: RunTree[]
  run: RunRecord
}
export const tree: z.ZodType<RunTree> = z.strictObject({ children: z.array(z.lazy(() => tree)), run })

export const why = z.strictObject({
  denied: z
    .strictObject({
      decision_id: z.string().nullable(),
      missing: z.array(z.string()),
      reason: z.string().nullable(),
      rule_ids: z.array(z.string()),
    })
    .nullable(),
  ended_ancestor: z.strictObject({ run_id: z.string(), status: z.enum(runStatuses) }).nullable(),
  last_event: z.strictObject({ code: z.string().nullable(), seq, time: z.string(), type: z.string() }),
  lease_expired: z.boolean(),
  lease_remaining_s: z.int().min(0).nullable(),
  lock: z.strictObject({ current: z.boolean(), name: z.string(), token: seq }).nullable(),
  missing_events: z.array(z.string()),
  moves: z.array(z.enum(runStatuses)),
  phase: z.string(),
  processes: z
    .strictObject({ alive: z.enum(['no', 'unknown', 'yes']).nullable(), host: z.string(), pids: z.array(z.int()) })
    .nullable(),
  run_id: z.string(),
  status: z.enum(runStatuses),
})
/** The state of a run at the moment of the call, and the reasons for it. */
export interface RunReasons extends z.output<typeof why> {}

hints.add(list, {
  actor_id: { about: 'Only runs of this actor.' },
  case_id: { about: 'Only runs of this case.' },
  cursor: { about: 'Where to continue: `next` of the page before, which is a run_id.' },
  lane_id: { about: 'Only runs in this lane.' },
  orphans: { about: 'Only running runs whose processes are dead or whose lease is over.' },
  run_kind: { about: 'Only runs of this kind.' },
  status: { about: 'Only runs in this state.' },
})
hints.add(create, { run_id: { about: 'The id of the run. By default the ledger makes one.' } })
hints.add(listed, {
  lease_expired: {
    about: 'Running runs of the page whose lease is over. The next command on each marks it as failed.',
  },
  process_dead: { about: 'With `orphans`: the runs of the page that have no lease and whose processes are dead.' },
})
hints.add(recover, { reason: { about: 'Why the run is ended. It is recorded with the evidence.' } })
hints.add(cancelledTree, {
  cancelled_below: { about: 'The number of runs below it that this call ended.' },
  run: { about: 'The record of the run.' },
})
hints.add(start, {
  lease_duration_s: { about: 'How long the run lives without a heartbeat. Without it the run has no lease.' },
  pids: { about: 'A process that does the work of the run. When all of them are dead, the run can be recovered.' },
  lock: { about: 'A lock that the run holds. The run acts only while that grant is current.' },
})
hints.add(authorize, { action: { about: 'The action that the run wants to do.' } })
hints.add(record, { action_type: { about: 'The action that was done. Must be the action that was allowed.' } })
hints.add(decided, {
  decision_id: { about: 'The event_id of the decision. It is needed to record the outcome of an allow.' },
})
hints.add(why, {
  ended_ancestor: { about: 'The nearest run above it that has ended. No work can be added below that run.' },
  lease_expired: { about: 'Whether the lease of the run is over.' },
  processes: { about: 'The recorded processes of the run, and whether they are alive.' },
  lock: { about: 'The lock of the run, and whether its grant is current.' },
})
