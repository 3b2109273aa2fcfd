import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { decide, reads } from './decide.ts'
import { auditEventSchemas, auditStream } from './events.ts'

/**
 * Events that programs record. Those of a run are in the stream of the run; the others share one stream. Its state only
 * counts them, so that a rebuilt row can be compared.
 */
export const auditAggregate = defineAggregate({
  commands: ['audit'],
  streams: {
    [auditStream]: stream<{ count: number }, unknown>({ evolve: (state) => ({ count: (state?.count ?? 0) + 1 }) }),
  },
  events: auditEventSchemas,
  rendering: {
    'audit.recorded': {
      action_type: { from: 'action_type' },
      outcome: { from: 'outcome' },
      severity: { from: 'severity', otherwise: 'info' },
      target: { from: 'target' },
      outcome_reason: ['outcome_reason'],
    },
    'audit.refused': {
      action_type: 'system',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'system', name: 'audit', operation: { from: 'command' } },
      outcome_reason: ['code'],
    },
    'audit.refusals_counted': {
      action_type: 'system',
      outcome: { from: 'outcome' },
      severity: 'warn',
      target: { from: 'target' },
      outcome_reason: ['message'],
    },
  },
  facts: ({ data, type }) => {
    if (type !== 'audit.recorded') return {}
    const { case_id, corrects, duration_ms, input_artifacts, lane_id, notes, output_artifacts, role_id } = data
    const { request_hash_sha256, response_hash_sha256 } = data
    const hashes = { request_hash_sha256, response_hash_sha256 }
    const stated = { case_id, corrects, duration_ms, input_artifacts, lane_id, notes, output_artifacts, role_id }
    return { ...stated, stated: true, ...hashes }
  },
  reads,
  decide,
})
