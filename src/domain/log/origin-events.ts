import * as z from 'zod'
import { ledgerIdSchema, originSchema } from '../../kernel/ids.ts'

/** Entry 0: the name of this ledger, and its public key. */
export const originEventSchemas = {
  'ledger.created': z.strictObject({
    format: z.int(),
    ledger_id: ledgerIdSchema,
    origin: originSchema,
    vkey: z.string(),
  }),
} as const

export interface CreatedEvent {
  type: 'ledger.created'
  stream: string
  data: z.infer<(typeof originEventSchemas)['ledger.created']>
}
