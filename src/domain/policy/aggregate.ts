import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { decide, reads } from './decide.ts'
import { policyEventSchemas } from './events.ts'
import { evolve, policyStream } from './state.ts'

/** The policy in force. */
export const policyAggregate = defineAggregate({
  commands: ['policy'],
  streams: { [policyStream]: stream({ evolve }) },
  events: policyEventSchemas,
  rendering: {
    'policy.loaded': {
      action_type: 'policy_change',
      outcome: 'success',
      severity: 'info',
      target: { target_type: 'policy', name: 'policy', operation: 'policy.load' },
      outcome_reason: [],
    },
    'policy.refused': {
      action_type: 'policy_change',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'policy', name: 'policy', operation: { from: 'command' } },
      outcome_reason: ['code'],
    },
  },
  reads,
  decide,
})
