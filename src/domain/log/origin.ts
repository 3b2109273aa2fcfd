import * as z from 'zod'
import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { type Command, type Context, type Decision, type LoadedRows, refuse } from '../../kernel/decider.ts'
import { ledgerIdSchema, originSchema } from '../../kernel/ids.ts'

const originStream = 'ledger'

/** Entry 0: the name of this ledger, and its public key. */
const created = z.strictObject({ format: z.int(), ledger_id: ledgerIdSchema, origin: originSchema, vkey: z.string() })

export interface CreateLedger extends Command {
  type: 'ledger.create'
  data: z.infer<typeof created>
}

/** The stream of the ledger itself. It has only the creation of the ledger. */
export const originAggregate = defineAggregate({
  commands: ['ledger'],
  streams: { [originStream]: stream({ evolve: () => ({ created: true }) }) },
  events: { 'ledger.created': created },
  rendering: {
    'ledger.created': {
      action_type: 'system',
      outcome: 'success',
      severity: 'info',
      target: { target_type: 'system', name: { from: 'origin' }, operation: 'ledger.create' },
      outcome_reason: [],
    },
  },
  reads: (_command: CreateLedger) => [originStream],
  decide,
})

/** Refusals: LEDGER_EXISTS. */
function decide({ data }: CreateLedger, _context: Context, rows: LoadedRows): Decision {
  if (rows.get(originStream) !== undefined) return refuse('LEDGER_EXISTS', 'the ledger already exists')
  return { kind: 'append', events: [{ type: 'ledger.created', stream: originStream, data }] }
}
