import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { rowsOn, shortened } from '../../kernel/rendering.ts'
import { decide, reads } from './decide.ts'
import { type ApprovalEventData, approvalEventSchemas } from './events.ts'
import { subjectOf } from './exported.ts'
import { approvalStream, evolve } from './state.ts'

const approvalRow = rowsOn('export_bundle', { from: 'approval_id' })

/** Approvals of exports, each with its own stream. */
export const approvalAggregate = defineAggregate({
  commands: ['approval'],
  streams: { [approvalStream]: stream({ evolve, keepsTexts: 'row' }) },
  events: approvalEventSchemas,
  rendering: {
    'approval.given': approvalRow('export.approve', 'allow', 'info'),
    'approval.used': approvalRow('approval.use', 'success', 'info'),
    'approval.refused': {
      action_type: 'system',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'export_bundle', name: 'approvals', operation: { from: 'command' } },
      outcome_reason: ['rule_id'],
    },
  },
  facts({ data, type }) {
    if (type === 'approval.refused') return { authz: { decision: 'deny', rule_id: data.rule_id } }
    if (type !== 'approval.given') return {}
    const { approval_type, bundle, notes } = data as ApprovalEventData<'approval.given'>
    const what = `${approval_type}: ${bundle.bundle_kind} of ${subjectOf(bundle.select)} at size ${bundle.size}`
    return { notes, outcome_reason: shortened(what, 200) }
  },
  reads,
  decide,
})
