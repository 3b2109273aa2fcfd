import type { LoadedRows } from '../../kernel/decider.ts'
import type { Entry, EventDraft } from '../../kernel/entry.ts'
import type { RunEventData } from './events.ts'

/** What holds for all runs of a workflow. */
interface WorkflowState {
  /** The case that the workflow belongs to; null if its first run had none. Absent until a run claims it. */
  case_id?: string | null
  /** The first run whose lane demands a decision for each promotion of a turn. */
  governed_by?: string
}

/** The case and the workflow of a run. */
interface OfWorkflow {
  case_id: string | null
  workflow_id?: string | null | undefined
}

/** The stream of a workflow: its claim, and the start of the first run that governs its turns. */
export function workflowStreamOf(workflowId: string): string {
  return `workflow/${workflowId}`
}

/**
 * The event that gives a workflow to the case of its first run; empty if the run is in no workflow, or if the workflow
 * has a first run. It comes before the first event of that run, in the same append.
 */
export function claimOf(
  rows: LoadedRows,
  { case_id, run_id, workflow_id }: OfWorkflow & { run_id: string },
): EventDraft[] {
  if (!workflow_id || stateOf(rows, workflow_id)?.case_id !== undefined) return []
  const data: RunEventData<'workflow.claimed'> = { ...(case_id === null ? {} : { case_id }), run_id, workflow_id }
  return [{ type: 'workflow.claimed', stream: workflowStreamOf(workflow_id), data }]
}

/** Whether a workflow belongs to another case than a run. */
export function isWorkflowOfAnother(rows: LoadedRows, { case_id, workflow_id }: OfWorkflow): boolean {
  if (!workflow_id) return false
  const owner = stateOf(rows, workflow_id)?.case_id
  return owner !== undefined && owner !== case_id
}

/**
 * The event that makes every later promotion in the workflow of a run need a decision; empty if the run is in no
 * workflow, or if an earlier run has done so. A run in another lane, or in none, could otherwise write what the lane
 * of this run guards (ADR 0071).
 */
export function governanceOf(
  rows: LoadedRows,
  { run_id, workflow_id }: Pick<OfWorkflow, 'workflow_id'> & { run_id: string },
): EventDraft[] {
  if (!workflow_id || governorOf(rows, workflow_id) !== undefined) return []
  const data: RunEventData<'workflow.governed'> = { run_id, workflow_id }
  return [{ type: 'workflow.governed', stream: workflowStreamOf(workflow_id), data }]
}

/** The run whose lane made every promotion in a workflow need a decision. */
export function governorOf(rows: LoadedRows, workflow_id: string | null | undefined): string | undefined {
  return workflow_id ? stateOf(rows, workflow_id)?.governed_by : undefined
}

function stateOf(rows: LoadedRows, workflowId: string): WorkflowState | undefined {
  return rows.get(workflowStreamOf(workflowId))?.state as WorkflowState | undefined
}

/** The state of the stream: the case of the first run, and the run that governs its turns. */
export function evolveWorkflow(state: WorkflowState | undefined, { data, type }: Entry): WorkflowState {
  if (type === 'workflow.governed') return { ...state, governed_by: String(data.run_id) }
  return { ...state, case_id: (data.case_id ?? null) as string | null }
}
