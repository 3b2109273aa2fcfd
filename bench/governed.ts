import type { Ledger } from '../src/index.ts'

const of = { lane_id: 'shell', role_id: 'agent' }

/**
 * Puts the shipped policy in force and starts an orchestrator. Returns a function that starts tool-call runs below it.
 */
export async function governed(ledger: Ledger) {
  await ledger.policy.reload()
  return treeOfRuns(ledger, { case_id: 'CASE-17', run_id: 'run_above' })
}

/** Starts an orchestrator for a case. Returns a function that starts tool-call runs below it. */
export async function treeOfRuns(ledger: Ledger, { case_id, run_id: above }: { case_id: string; run_id: string }) {
  await ledger.runs.create({ case_id, run_id: above, run_kind: 'orchestrator' })
  await ledger.runs.start({ run_id: above })
  return {
    /** Creates and starts a run, in two appends. Returns its id. */
    async startRun(asked: { lease_duration_s?: number; run_id?: string } = {}): Promise<string> {
      const { lease_duration_s, ...id } = asked
      const { run_id } = await ledger.runs.create({ ...of, ...id, parent_run_id: above, run_kind: 'tool_gateway' })
      await ledger.runs.start({ run_id, lease_duration_s })
      return run_id
    },
    /** The tool call of such a run. */
    tool: (run_id: string) => ({
      action_type: 'tool_call' as const,
      lane_id: of.lane_id,
      scope: { case_id, run_id },
      target: { name: 'test.unit' },
    }),
  }
}
