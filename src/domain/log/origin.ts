import * as z from 'zod'
import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import { type Command, type Context, type Decision, type LoadedRows, refuse } from '../../kernel/decider.ts'
import { ledgerIdSchema, originSchema } from '../../kernel/ids.ts'

const originStream = 'ledger'

/** Entry 0: the name of this ledger, and its public key. */
const created = z.strictObject({ format: z.int(), ledger_id: ledgerIdSchema, origin: originSchema, vkey: z.string() })

/**
 * From this entry on the ledger has another name and key, because the ledger that it continues may also go on. Each
 * later grant adds `token_offset` to its seq, so that its token is above every token of the other ledger (ADR 0049).
 */
const restored = z.strictObject({
  by: z.enum(['adopt', 'restore', 'salvage']),
  format: z.int(),
  ledger_id: ledgerIdSchema,
  origin: originSchema,
  previous: z.strictObject({
    ledger_id: ledgerIdSchema,
    origin: originSchema,
    root: z.string().regex(/^[0-9a-f]{64}$/),
    size: z.int().min(1),
  }),
  token_offset: z.int().min(1),
  vkey: z.string(),
})
export type RestoredData = z.infer<typeof restored>

export interface CreateLedger extends Command {
  type: 'ledger.create'
  data: z.infer<typeof created>
}

export interface RestoreLedger extends Command {
  type: 'ledger.restore'
  data: RestoredData
}

/** The stream of the ledger itself: its creation and each restore. */
export const originAggregate = defineAggregate({
  commands: ['ledger'],
  streams: { [originStream]: stream({ evolve: () => ({ created: true }) }) },
  events: { 'ledger.created': created, 'ledger.restored': restored },
  rendering: {
    'ledger.created': {
      action_type: 'system',
      outcome: 'success',
      severity: 'info',
      target: { target_type: 'system', name: { from: 'origin' }, operation: 'ledger.create' },
      outcome_reason: [],
    },
    'ledger.restored': {
      action_type: 'system',
      outcome: 'success',
      severity: 'warn',
      target: { target_type: 'system', name: { from: 'origin' }, operation: 'ledger.restore' },
      outcome_reason: ['by'],
    },
  },
  reads: (_command: CreateLedger | RestoreLedger) => [originStream],
  decide,
})

/** Refusals: LEDGER_EXISTS, for a creation. */
function decide(command: CreateLedger | RestoreLedger, _context: Context, rows: LoadedRows): Decision {
  if (command.type === 'ledger.restore') {
    return { kind: 'append', events: [{ type: 'ledger.restored', stream: originStream, data: command.data }] }
  }
  const { data } = command
  if (rows.get(originStream) !== undefined) return refuse('LEDGER_EXISTS', 'the ledger already exists')
  return { kind: 'append', events: [{ type: 'ledger.created', stream: originStream, data }] }
}
