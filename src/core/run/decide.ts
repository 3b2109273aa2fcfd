import { type Context, type Decision, type Rows, refuse } from '../decider.ts'
import { policyInForce } from '../policies.ts'
import { append, expiredEvents, isExpired, notRunActor, type RunCase, rowOf } from './case.ts'
import type { RunCommand } from './commands.ts'
import { decideAuthorize, decideRecord } from './decide-actions.ts'
import { decideCreate, decideRetry } from './decide-create.ts'
import { decideCancel, decideComplete, decideDeny, decideFail, decideHeartbeat } from './decide-endings.ts'
import { decideStart } from './decide-start.ts'
import { streamOf } from './state.ts'

/** The run itself; the runs above it, its lock and the policy in force are asked for once it is seen. */
export function reads(command: RunCommand): readonly string[] {
  return [streamOf(command.run_id)]
}

/**
 * Refusals of every command on a run that is there, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded, the run untouched);
 * then a run whose lease is over is failed by the ledger, and nothing else of the command happens; then its own.
 */
export function decide(command: RunCommand, context: Context, rows: Rows): Decision {
  const inForce = policyInForce(rows, command.policies)
  if (command.type === 'run.create') return decideCreate(command, { context, inForce, rows })
  const row = rowOf(rows, command.run_id)
  if (row === undefined) return refuse('NOT_FOUND', `there is no run ${command.run_id}`, { run_id: command.run_id })
  const of: RunCase = { context, inForce, lastSeq: row.last_seq, rows, run: row.state }
  const denied = notRunActor(of, command.type)
  if (denied !== undefined) return denied
  if (isExpired(of.run, context.now)) return append(of, expiredEvents(of))
  switch (command.type) {
    case 'run.start':
      return decideStart(command, of)
    case 'run.heartbeat':
      return decideHeartbeat(command, of)
    case 'run.authorize':
      return decideAuthorize(command, of)
    case 'run.record':
      return decideRecord(command, of)
    case 'run.complete':
      return decideComplete(command, of)
    case 'run.fail':
      return decideFail(command, of)
    case 'run.deny':
      return decideDeny(command, of)
    case 'run.cancel':
      return decideCancel(command, of)
    case 'run.retry':
      return decideRetry(command, of)
  }
}
