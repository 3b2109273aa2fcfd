import { copyFileSync } from 'node:fs'
import { nanoid } from 'nanoid'
import { isThere, syncFolder, writeDurably } from '../disk/durable.ts'
import { readEngineFile } from '../disk/engine-file.ts'
import type { Layout } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import { syncFile } from '../log/level/files.ts'
import { configOf } from '../log/postgres/connection.ts'
import { Database } from '../log/postgres/database.ts'
import { openWriter } from '../log/postgres/open.ts'
import type { PostgresLog } from '../log/postgres/postgres-log.ts'
import { createInDatabase, holdsLedger, renameInDatabase } from '../log/postgres/setup.ts'
import { newNodeName } from '../nouns/create.ts'
import { SealWatch } from '../nouns/seal.ts'
import { type MoveTarget, newPlace } from './move.ts'

/** The seat of a move that was killed stays its own for less than this. */
const seatWaitSeconds = 5

/**
 * A PostgreSQL database that a ledger is moved to. It may have other ledgers, or have had this one. The writer's seat is
 * held meanwhile, so no node writes there. In the end the home folder names the database. The files that the ledger left
 * stay there, with their own head, and can be opened as such (`leftLayout`).
 */
export function databaseTarget(engine: string, layout: Layout): MoveTarget {
  const node = newNodeName()
  let log: PostgresLog | undefined
  const close = async () => {
    const open = log
    log = undefined
    await open?.close()
  }
  return {
    receive: async (meta) => {
      await demandLedger(engine, { ...meta, place: newPlace('postgresql') })
      const file = { engine, ledger_id: meta.ledger_id, node }
      log = await openWriter({ file, openWaitSeconds: seatWaitSeconds, process: `migrate-${nanoid(12)}` })
      if (log.meta.place !== undefined) return log
      if (!(await SealWatch.of(log)).isSealed) throw neverLeft(meta.ledger_id)
      await renameInDatabase(log, { ...log.meta, place: newPlace('postgresql') })
      return log
    },
    rename: async (meta) => {
      if (log !== undefined) await renameInDatabase(log, meta)
    },
    complete: async (cursors) => {
      const { ledger_id = '' } = log?.meta ?? {}
      await log?.keepCursors(cursors)
      await close()
      await nameDatabase(layout, { engine, ledger_id, node })
    },
    close,
  }
}

/** Adds the ledger to the database, unless it is there. */
async function demandLedger(engine: string, meta: Parameters<typeof createInDatabase>[1]): Promise<void> {
  const database = await Database.of(configOf(engine))
  try {
    if (!(await holdsLedger(database.query, meta.ledger_id))) await createInDatabase(database, meta)
  } finally {
    await database.close()
  }
}

/** From the durable engine file on, the home folder opens the ledger in the database. The head of both is one history. */
async function nameDatabase(layout: Layout, file: NonNullable<ReturnType<typeof readEngineFile>>): Promise<void> {
  if (readEngineFile(layout) === undefined && isThere(layout.head)) {
    copyFileSync(layout.head, layout.leftHead)
    syncFile(layout.leftHead)
    syncFolder(layout.home)
  }
  await writeDurably(layout.engine, `${JSON.stringify(file)}\n`, 0o600)
}

function neverLeft(ledger_id: string): LockstepError {
  return new LockstepError('LEDGER_EXISTS', `the ledger ${ledger_id} goes on in this database`, {
    details: { ledger_id },
  })
}
