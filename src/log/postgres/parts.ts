import type { Meta } from '../log.ts'
import type { Database } from './database.ts'
import type { Known } from './reader.ts'
import type { DatabaseClock } from './seat.ts'

/** What an open log is made of. */
export interface PostgresParts {
  clock: DatabaseClock
  database: Database
  known: Known
  ledgerId: string
  meta: Meta
  /** The name of this node, under which its cursors are kept. */
  node: string
  /** How long an append whose outcome is unknown is looked for. */
  recoverMillisMax?: number | undefined
}
