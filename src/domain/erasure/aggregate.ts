import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { rowsOn } from '../../kernel/rendering.ts'
import { decide, reads } from './decide.ts'
import { erasureEventSchemas } from './events.ts'
import { erasureStream, evolveErasure, evolveHolds, retentionStream, textsStream } from './state.ts'

const textRow = rowsOn('system', 'texts')
const holdRow = rowsOn('system', { from: 'hold_id' })

/** Erasures of texts: the approvals of persons, what was erased, and the legal holds that prevent it. */
export const erasureAggregate = defineAggregate({
  commands: ['erasure', 'retention'],
  streams: {
    [erasureStream]: stream({ evolve: evolveErasure }),
    [retentionStream]: stream({ evolve: evolveHolds }),
    // Only the seq of its last entry counts.
    [textsStream]: stream({ evolve: () => null }),
  },
  events: erasureEventSchemas,
  rendering: {
    'erasure.approved': textRow('erasure.approve', 'allow', 'info'),
    'erasure.refused': {
      action_type: 'system',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'system', name: 'texts', operation: { from: 'command' } },
      outcome_reason: ['rule_id'],
    },
    'erasure.used': textRow('erasure.use', 'success', 'info'),
    'object.erased': textRow('object.erase', 'success', 'warn', 'reason'),
    'retention.held': holdRow('retention.hold', 'success', 'info', 'reason'),
    'retention.lifted': holdRow('retention.lift', 'success', 'warn'),
    'text.erased': textRow('text.erase', 'success', 'warn', 'reason'),
  },
  reads,
  decide,
})
