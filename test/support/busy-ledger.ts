import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import type { Random } from './seed.ts'

const cases = ['CASE-17', 'CASE-18', undefined]
const actors = ['agent-1', 'agent-2', 'ana'].map((actor_id) => ({ actor_id, actor_type: 'agent' as const }))
const lanes = ['TOOL_INTERVIEW_CAPTURE', 'WRITE_INTAKE_ARTIFACTS', undefined]
const kinds = ['orchestrator', 'agent', 'tool_gateway', 'db_write'] as const

/** Does so many things with runs, locks and audit events, chosen at random; refusals are a part of it. */
export async function keepBusy(ledger: LocalLedger, random: Random, steps: number): Promise<void> {
  const runIds: string[] = []
  const one = <T>(items: readonly T[]): T => items[random(items.length)] as T
  const { audit, locks, runs } = ledger
  const create = async () => {
    const [case_id, parent_run_id] = [one(cases), random(2) === 0 ? undefined : one(runIds)]
    const of = { actor: one(actors), case_id, lane_id: one(lanes), parent_run_id, role_id: 'INTERVIEW_AGENT' }
    runIds.push(
      (await runs.create({ ...of, run_kind: one(kinds), run_id: `run_${runIds.length}_${random(2 ** 20)}` })).run_id,
    )
  }
  const error = { error_code: 'BROKE', message: 'it broke', retryable: true }
  const choices: (() => Promise<unknown>)[] = [
    create,
    create,
    () => runs.start({ run_id: one(runIds) }),
    () => runs.start({ run_id: one(runIds) }),
    () => runs.start({ run_id: runIds.at(-1) ?? '' }),
    () => runs.complete({ run_id: one(runIds), outcome_reason: 'done' }),
    () => runs.fail({ run_id: one(runIds), outcome_reason: 'broke', error }),
    () => runs.deny({ run_id: one(runIds), outcome_reason: 'by hand' }),
    () => runs.cancel({ run_id: one(runIds), outcome_reason: 'enough', actor: one(actors) }),
    () => locks.acquire({ name: `lock-${random(5)}`, holder: one(actors).actor_id, pids: [process.pid] }),
    () =>
      audit.append({
        events: [{ action_type: 'system', outcome: one(['success', 'failure']) }],
        actor: one(actors),
      }),
  ]
  await runs.create({ run_id: 'run_first', run_kind: 'orchestrator' })
  runIds.push('run_first')
  for (let done = 0; done < steps; done += 8) {
    await Promise.all(Array.from({ length: 8 }, () => one(choices)().catch(ignoreRefusal)))
  }
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof LockstepError) || error.code === 'LEDGER_UNAVAILABLE') throw error
}
