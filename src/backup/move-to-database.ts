import { nanoid } from 'nanoid'
import { LockstepError } from '../errors.ts'
import { Database } from '../log/postgres/database.ts'
import { openPostgresLog } from '../log/postgres/open.ts'
import type { PostgresLog } from '../log/postgres/postgres-log.ts'
import { createInDatabase, holdsLedger, renameInDatabase } from '../log/postgres/setup.ts'
import { SealWatch } from '../nouns/seal.ts'
import { type MoveTarget, newPlace } from './move.ts'

/**
 * A PostgreSQL database that a ledger is moved to. It may have other ledgers, or have had this one. The writer's seat is
 * held meanwhile, so no node opens the ledger there.
 */
export function databaseTarget(url: string): MoveTarget {
  let log: PostgresLog | undefined
  const close = async () => {
    const open = log
    log = undefined
    await open?.close()
  }
  return {
    receive: async (meta) => {
      const database = await Database.of({ connectionString: url })
      try {
        if (!(await holdsLedger(database.query, meta.ledger_id)))
          await createInDatabase(database, { ...meta, place: newPlace('postgresql') })
      } catch (error) {
        await database.close()
        throw error
      }
      log = await openPostgresLog(database, { ledgerId: meta.ledger_id, node: `migrate-${nanoid(12)}` })
      // The next append finds out if it was lost.
      log.custody?.keep(() => {})
      if (log.meta.place !== undefined) return log
      if (!(await SealWatch.of(log)).isSealed) throw neverLeft(meta.ledger_id)
      await renameInDatabase(log, { ...log.meta, place: newPlace('postgresql') })
      return log
    },
    rename: async (meta) => {
      if (log !== undefined) await renameInDatabase(log, meta)
    },
    complete: close,
    close,
  }
}

function neverLeft(ledger_id: string): LockstepError {
  return new LockstepError('LEDGER_EXISTS', `the ledger ${ledger_id} goes on in this database`, {
    details: { ledger_id },
  })
}
