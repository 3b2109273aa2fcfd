import type { z } from 'zod'
import type * as shapes from '../../api/shapes/runs.ts'
import type * as commands from '../../domain/run/commands.ts'
import type { RunEventData } from '../../domain/run/events.ts'
import { LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import { hashRequest } from '../../writer/core.ts'
import type { Outcome } from '../../writer/submission.ts'
import { deniedError } from './performing.ts'

/**
 * The last entry of an answer. If the ledger appended another event than requested, that is an error, both at first
 * and on every repeat. Errors: RUN_LEASE_EXPIRED, RUN_DENIED.
 */
export function refuseUnlessDone({ entries }: Outcome, type: commands.RunCommand['type']): Entry {
  const entry = entries.at(-1) as Entry
  if (type === 'run.authorize' || type === 'run.deny') refuseExpired({ entries })
  else refuseEnded({ entries })
  return entry
}

/**
 * Throws the error of a run that ended instead of appending the requested event. Errors: RUN_LEASE_EXPIRED, RUN_DENIED.
 */
export function refuseEnded({ entries }: Pick<Outcome, 'entries'>): void {
  const { data, type } = entries.at(-1) as Entry
  refuseExpired({ entries })
  if (type === 'run.denied') throw deniedError(data as RunEventData<'run.denied'>)
}

/**
 * Throws RUN_LEASE_EXPIRED if the ledger failed the run, because its lease was over, instead of appending the
 * requested event.
 */
export function refuseExpired({ entries }: Pick<Outcome, 'entries'>): void {
  const { data, run_id, type } = entries.at(-1) as Entry
  if (type !== 'run.failed' || data.by !== 'ledger') return
  throw new LockstepError('RUN_LEASE_EXPIRED', `the lease of ${run_id} expired, so the run has failed`, {
    details: { run_id },
    hint: `To retry it, run: lockstep run retry ${run_id} --reason TEXT`,
  })
}

/** The request with the digest of the command that it names. */
export function withDigest({ action, ...asked }: z.output<typeof shapes.authorize>): z.output<typeof shapes.authorize> {
  const { command } = action
  if (command?.argv === undefined) return { ...asked, action }
  const argv_sha256 = hashRequest({ command: command.argv })
  return { ...asked, action: { ...action, command: { ...command, argv_sha256 } } }
}

export function decidedOf({ entries, replayed }: Outcome): shapes.DecidedAction {
  const entry = entries.findLast(({ type }) => type === 'run.decided') as Entry<
    'run.decided',
    RunEventData<'run.decided'>
  >
  const { decision, missing, reason, rule_ids } = entry.data
  return { decision, decision_id: entry.event_id, missing, pins: entry.policy_versions, reason, replayed, rule_ids }
}
