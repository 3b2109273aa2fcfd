import { type Aggregate, type Command, refuse } from '../../kernel/decider.ts'
import type { CreatedEvent } from './origin-events.ts'

const originStream = 'ledger'

export interface CreateLedger extends Command {
  type: 'ledger.create'
  data: CreatedEvent['data']
}

/** The stream of the ledger itself. It has only the creation of the ledger. */
export const originAggregate: Aggregate<CreateLedger, { created: true }> = {
  reads: () => [originStream],
  decide: (command, _context, rows) =>
    rows.get(originStream) === undefined
      ? { kind: 'append', events: [{ type: 'ledger.created', stream: originStream, data: command.data }] }
      : refuse('LEDGER_EXISTS', 'the ledger already exists'),
  evolve: () => ({ created: true }),
}
