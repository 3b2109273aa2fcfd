import type { Test } from 'uvu'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { testClock, withLedger } from './ledger.ts'
import { asPlainError } from './scene.ts'

/** The case, lane and role of the tool run. */
export const of = { case_id: 'CASE-17', lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT' }

/** A ledger with the shipped policy in force, and a running orchestrator. */
export function governedIn(on: Test) {
  return (
    title: string,
    work: (ledger: LocalLedger, clock: ReturnType<typeof testClock>, root: string) => Promise<void>,
  ) =>
    on(title, async () => {
      const clock = testClock()
      await withLedger(
        async (ledger, root) => {
          await ledger.policy.reload()
          await ledger.runs.create({ run_id: 'run_top_1', run_kind: 'orchestrator' })
          await ledger.runs.start({ run_id: 'run_top_1' })
          await work(ledger, clock, root).catch(asPlainError)
        },
        { now: clock.now },
      )
    })
}

/** A running tool run below the orchestrator. */
export async function startTool(
  ledger: LocalLedger,
  facts: { lease_duration_s?: number; lock?: string } = {},
): Promise<string> {
  const run_id = 'run_tool1'
  await ledger.runs.create({ ...of, run_id, parent_run_id: 'run_top_1', run_kind: 'tool_gateway' })
  await ledger.runs.start({ run_id, ...facts })
  return run_id
}

/** The code that a call is refused with, or 'none'. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (error) {
    if (error instanceof LockstepError) return error.code
    throw error
  }
  return 'none'
}
