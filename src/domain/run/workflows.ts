import type { LoadedRows } from '../../kernel/decider.ts'
import type { Entry, EventDraft } from '../../kernel/entry.ts'
import type { RunEventData } from './events.ts'

/** The case that a workflow belongs to; null if its first run had none. */
interface WorkflowState {
  case_id: string | null
}

/** The case and the workflow of a run. */
interface OfWorkflow {
  case_id: string | null
  workflow_id?: string | null | undefined
}

/** The stream of a workflow. It has one event, which belongs to no run. */
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
  if (!workflow_id || rows.get(workflowStreamOf(workflow_id)) !== undefined) return []
  const data: RunEventData<'workflow.claimed'> = { ...(case_id === null ? {} : { case_id }), run_id, workflow_id }
  return [{ type: 'workflow.claimed', stream: workflowStreamOf(workflow_id), data }]
}

/** Whether a workflow belongs to another case than a run. */
export function isWorkflowOfAnother(rows: LoadedRows, { case_id, workflow_id }: OfWorkflow): boolean {
  if (!workflow_id) return false
  const state = rows.get(workflowStreamOf(workflow_id))?.state as WorkflowState | undefined
  return state !== undefined && state.case_id !== case_id
}

/** The state of the stream: the case of the first run. */
export function evolveWorkflow(_state: WorkflowState | undefined, { data }: Entry): WorkflowState {
  return { case_id: (data.case_id ?? null) as string | null }
}
