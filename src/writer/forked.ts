import { type Details, LockstepError } from '../errors.ts'
import { type Decision, type Refusal, refuse } from '../kernel/decider.ts'

const message = 'the ledger’s key signed a checkpoint that the ledger does not extend, so the ledger has two histories'

/** LEDGER_FORKED with the facts about the checkpoint. */
export function ledgerForked(details: Details): LockstepError {
  return new LockstepError('LEDGER_FORKED', message, {
    details,
    hint: 'Keep both as evidence: .lockstep/forked has the checkpoint. The runbook says how to go on.',
  })
}

/**
 * The refusal of a decision in a ledger that was forked; undefined if it was not, or if the decision grants nothing. What ends work, and
 * what only records, goes on: a lock that is released or an audit event cannot do harm in either history.
 */
export function refusedAsForked(decision: Decision, forked: () => Details | undefined): Refusal | undefined {
  const proof = grants(decision) ? forked() : undefined
  return proof === undefined ? undefined : refuse('LEDGER_FORKED', message, proof)
}

/** Whether a decision gives somebody a lock, starts a run, allows an action or promotes a turn. */
function grants(decision: Decision): boolean {
  if (decision.kind !== 'append') return false
  return decision.events.some(({ data, type }) => {
    if (type === 'run.decided') return (data as { decision?: unknown }).decision === 'allow'
    return type === 'lock.acquired' || type === 'run.started' || type === 'turn.promoted'
  })
}
