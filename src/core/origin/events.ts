import * as z from 'zod'
import { ledgerIdSchema, originSchema } from '../ids.ts'

/** Entry 0: what this ledger is called, and the key that speaks for it. */
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
