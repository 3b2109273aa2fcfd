import type { PolicyVerdict } from '../policy/authorize.ts'
import type { RunDraft } from './case.ts'
import type { RunEventData } from './events.ts'

/** What a decision is about, besides its run. */
export type AskedFor = Pick<
  RunEventData<'run.decided'>,
  'artifacts' | 'command' | 'effects' | 'on' | 'scope' | 'target'
>

/** The authz_decision event: the request and the verdict of the policy. */
export function decidedEvent(run_id: string, asked: AskedFor, verdict: PolicyVerdict): RunDraft {
  const { decision, missing, reason, rule_ids } = verdict
  const data = { ...asked, decision, missing: [...missing], reason, rule_ids: [...rule_ids], run_id }
  return { type: 'run.decided', data }
}

/** The move to denied that follows a deny. */
export function deniedEvent(
  run_id: string,
  duration_ms: number | null,
  { missing, reason, rule_ids }: PolicyVerdict,
): RunDraft {
  const outcome_reason = `${reason}: ${rule_ids[0] ?? ''}`.slice(0, 200)
  const facts = { missing: [...missing], outcome_reason, reason, rule_ids: [...rule_ids] }
  return { type: 'run.denied', data: { duration_ms, ...facts, run_id } }
}
