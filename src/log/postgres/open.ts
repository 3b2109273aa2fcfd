import { metaKey } from '../keyed/rows/keys.ts'
import { readMeta } from '../keyed/rows/meta-row.ts'
import type { Database } from './database.ts'
import { Pairs } from './pairs.ts'
import { PostgresLog } from './postgres-log.ts'
import { readKnown } from './reader.ts'
import { notWriter, takeSeat } from './seat.ts'
import { assertSchema } from './setup.ts'

export interface OpenOptions {
  ledgerId: string
  /** The name of this node. */
  node: string
  recoverMillisMax?: number
}

/** Opens a ledger in a database, and takes the writer's seat. */
export async function openPostgresLog(
  database: Database,
  { ledgerId, node, recoverMillisMax }: OpenOptions,
): Promise<PostgresLog> {
  try {
    await assertSchema(database.query)
    const known = await readKnown({ ledgerId, query: database.query }, node)
    const pairs = new Pairs(database.query, ledgerId, () => known.head)
    const meta = readMeta(await pairs.fetched([metaKey]))
    const log = new PostgresLog({ database, known, ledgerId, meta, node, recoverMillisMax })
    const seat = await takeSeat(database.query, ledgerId, { node })
    if (seat === undefined) throw notWriter('another node has the seat')
    await log.write(seat)
    return log
  } catch (error) {
    await database.close()
    throw error
  }
}
