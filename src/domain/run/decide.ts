import type { Context, Decision, LoadedState } from '../../kernel/decider.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import { approvalStreamsOf } from '../approval/judge.ts'
import { streamOf as streamOfLock } from '../lock/names.ts'
import { policyInForce, policyStream } from '../policy/state.ts'
import { decideCancelBelow } from './above.ts'
import { caseOf, expired } from './case.ts'
import type { RunCommand } from './commands.ts'
import { decideAuthorize, decideRecord } from './decide-actions.ts'
import { decideBegin } from './decide-begin.ts'
import { decideCreate, decideRetry } from './decide-create.ts'
import {
  decideCancel,
  decideComplete,
  decideDeny,
  decideExpire,
  decideFail,
  decideHeartbeat,
} from './decide-endings.ts'
import { decideRecover } from './decide-recover.ts'
import { decideStart } from './decide-start.ts'
import { refuseNames } from './free-text.ts'
import { retryStreamOf } from './retries.ts'
import { workflowStreamOf } from './workflows.ts'

/** The runs above the run and its lock follow from the row of the run, so the command does not name them. */
export function reads(command: RunCommand): readonly string[] {
  if (command.type === 'run.begin') return [...reads(command.create), ...reads(command.authorize)]
  const streams = [streamOfRun(command.run_id), policyStream]
  if (command.type === 'run.create' && command.parent_run_id) streams.push(streamOfRun(command.parent_run_id))
  if (command.type === 'run.create' && command.workflow_id) streams.push(workflowStreamOf(command.workflow_id))
  if (command.type === 'run.start' && command.lock !== undefined) streams.push(streamOfLock(command.lock))
  if (command.type === 'run.cancel_below') streams.push(...command.run_ids.map(streamOfRun))
  if (command.type === 'run.retry') streams.push(streamOfRun(command.new_run_id), retryStreamOf(command.run_id))
  if (command.type === 'run.authorize') streams.push(...approvalStreamsOf(command.action))
  return streams
}

/**
 * Refusals of every command that a caller can make on an existing run, except a recovery, which anyone may make, in
 * order: FREE_TEXT_DENIED (a name that its entries repeat), NOT_FOUND, NOT_RUN_ACTOR (recorded; the run does not change).
 * If the lease of the run has expired, the ledger then fails the run and ignores the rest of the command. The command's
 * own refusals come last.
 */
export function decide(command: RunCommand, context: Context, rows: LoadedState): Decision {
  if (command.type === 'run.create') {
    return decideCreate(command, {
      context,
      inForce: policyInForce(rows, command.policies),
      policies: command.policies,
      rows,
    })
  }
  if (command.type === 'run.begin') return decideBegin(command, context, rows, decide)
  if (command.type === 'run.expire') return decideExpire(command, context, rows)
  const text = refuseNames(command, { context, rows })
  if (text !== undefined) return text
  if (command.type === 'run.recover') return decideRecover(command, context, rows)
  const of = caseOf(command, context, rows)
  if ('kind' in of) return of
  const ended = expired(of)
  if (ended !== undefined) return ended
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
    case 'run.cancel_below':
      return decideCancelBelow(command, of)
    case 'run.retry':
      return decideRetry(command, of)
  }
}
