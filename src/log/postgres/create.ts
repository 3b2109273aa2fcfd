import type { EngineFile } from '../../disk/engine-file.ts'
import type { Log, NewMeta } from '../log.ts'
import { configOf } from './connection.ts'
import { Database } from './database.ts'
import { openWriter } from './open.ts'
import { assertSchema, createInDatabase } from './setup.ts'

/** Adds a ledger to a database, fills it, and closes it. Errors: LEDGER_EXISTS, LEDGER_UNAVAILABLE. */
export async function createPostgresLog(
  file: EngineFile,
  meta: NewMeta,
  fill: (log: Log) => Promise<void>,
): Promise<void> {
  const database = await Database.of(configOf(file.engine))
  try {
    await assertSchema(database.query)
    await createInDatabase(database, meta)
  } finally {
    await database.close()
  }
  const log = await openWriter({ file, openWaitSeconds: 0, process: 'create' })
  try {
    await fill(log)
  } finally {
    await log.close()
  }
}
