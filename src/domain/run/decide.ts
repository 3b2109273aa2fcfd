import { type Context, type Decision, type LoadedRows, refuse } from '../../kernel/decider.ts'
import { policyInForce } from '../policy/state.ts'
import { append, expiredEvents, isExpired, notRunActor, type RunCase, rowOf } from './case.ts'
import type { RunCommand } from './commands.ts'
import { decideAuthorize, decideRecord } from './decide-actions.ts'
import { decideCreate, decideRetry } from './decide-create.ts'
import { decideCancel, decideComplete, decideDeny, decideFail, decideHeartbeat } from './decide-endings.ts'
import { decideStart } from './decide-start.ts'
import { streamOf } from './state.ts'

/** The stream of the run. The runs above it, its lock and the policy in force are requested once the run is loaded. */
export function reads(command: RunCommand): readonly string[] {
  return [streamOf(command.run_id)]
}

/**
 * Refusals of every command on an existing run, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded; the run does not change).
 * If the lease of the run has expired, the ledger then fails the run and ignores the rest of the command. The command's
 * own refusals come last.
 */
export function decide(command: RunCommand, context: Context, rows: LoadedRows): Decision {
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
