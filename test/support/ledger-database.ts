import { Database } from '../../src/log/postgres/database.ts'
import { setUpSchema } from '../../src/log/postgres/setup.ts'
import type { PostgresServer } from './postgres.ts'

/** Makes a database with the schema of ledgers, and returns its connection string as the superuser. */
export async function newLedgerDatabase(server: PostgresServer): Promise<string> {
  const url = await server.database()
  const database = await Database.of({ connectionString: url })
  await setUpSchema(database, 'lockstep_writer').finally(() => database.close())
  return url
}
