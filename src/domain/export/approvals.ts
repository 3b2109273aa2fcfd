import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import type { ApprovalType } from '../../kernel/vocabulary.ts'
import type { AuditInput } from '../audit/commands.ts'
import type { AuditRecorded } from '../audit/events.ts'
import type { ExportBundle } from './bundle.ts'
import type { Selection } from './selection.ts'

type Approval = NonNullable<ExportBundle['approvals']>[number]

const operationPrefix = 'approve:'

/** The exported selection, in the form that approvals name. */
export function subjectOf(selection: Selection): string {
  if ('run_id' in selection) return `run:${selection.run_id}`
  if ('case_id' in selection) return `case:${selection.case_id}`
  if ('lock' in selection) return `lock:${selection.lock}`
  return `range:${selection.from}..${selection.to}`
}

/** An approval is an audit event of the approver, with the selection and the type. */
export function approvalEvent(selection: Selection, approval_type: ApprovalType, notes?: string): AuditInput {
  return {
    action_type: 'system',
    ...given({ notes }),
    outcome: 'allow',
    outcome_reason: 'export_approved',
    target: {
      name: subjectOf(selection),
      operation: `${operationPrefix}${approval_type}`,
      target_type: 'export_bundle',
    },
  }
}

/** The type of approval in an entry, if a human other than the exporting actor approves this selection. */
export function approvalIn(entry: Entry | undefined, selection: Selection, exporterId: string): Approval | undefined {
  if (entry?.type !== 'audit.recorded' || entry.actor.actor_type !== 'human') return undefined
  const { notes, outcome, target } = entry.data as AuditRecorded
  const isOfIt = target?.target_type === 'export_bundle' && target.name === subjectOf(selection)
  if (!isOfIt || outcome !== 'allow' || !target.operation?.startsWith(operationPrefix)) return undefined
  if (entry.actor.actor_id === exporterId) return undefined
  return {
    approval_type: target.operation.slice(operationPrefix.length) as ApprovalType,
    approved_at_utc: entry.time,
    approved_by: entry.actor.actor_id,
    ...given({ notes }),
  }
}
