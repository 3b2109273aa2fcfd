import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { rowsOn } from '../../kernel/rendering.ts'
import { decide, reads } from './decide.ts'
import { tokenEventSchemas } from './events.ts'
import { evolve, tokenStream } from './state.ts'

const tokenRow = rowsOn('system', { from: 'token_id' })

/** The tokens with which callers of the service show who they are, each with its own stream. */
export const tokenAggregate = defineAggregate({
  commands: ['token'],
  streams: { [tokenStream]: stream({ evolve }) },
  events: tokenEventSchemas,
  rendering: {
    'token.created': tokenRow('token.create', 'success', 'info'),
    'token.revoked': tokenRow('token.revoke', 'success', 'info', 'reason'),
    'token.expired': tokenRow('token.expire', 'success', 'info'),
    'token.refused': {
      action_type: 'system',
      outcome: 'deny',
      severity: 'warn',
      target: { target_type: 'system', name: 'tokens', operation: { from: 'command' } },
      outcome_reason: ['code'],
    },
  },
  reads,
  decide,
})
