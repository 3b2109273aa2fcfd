import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { layoutOf } from '../../src/disk/layout.ts'
import { Database } from '../../src/log/postgres/database.ts'
import { openPostgresLog } from '../../src/log/postgres/open.ts'
import { createInDatabase, setUpSchema } from '../../src/log/postgres/setup.ts'
import { appendFirst, newIdentity } from '../../src/nouns/create.ts'
import { makeHome, newConfig } from '../../src/nouns/home.ts'
import { copyLedger, temporaryRoot, testActor } from './ledger.ts'
import type { PostgresServer } from './postgres.ts'

/** A ledger in a database, and the home folders of the nodes that share it. */
export interface NodesLedger {
  dirs: string[]
  engine: string
  ledgerId: string
  /** The same database on another server, such as a standby. */
  engineOn: (server: PostgresServer) => string
}

/** Makes a ledger in a new database, and a home folder with its keys for each node. */
export async function newNodesLedger(server: PostgresServer, count: number): Promise<NodesLedger> {
  const engine = await server.database()
  await inDatabase(engine, (database) => setUpSchema(database, 'lockstep_writer'))
  const identity = newIdentity(undefined)
  const { ledger_id: ledgerId } = identity
  const dirs = Array.from({ length: count }, () => temporaryRoot())
  const [first = ''] = dirs
  const { home } = layoutOf(first)
  mkdirSync(home, { mode: 0o700 })
  const vkey = await makeHome(home, { config: { ...newConfig }, origin: identity.origin })
  await inDatabase(engine, (database) => createInDatabase(database, identity))
  const log = await openPostgresLog(await Database.of({ connectionString: engine }), { ledgerId, node: 'setup' })
  await appendFirst(log, { actor: testActor, home, policy: false, root: first, vkey })
  await log.close()
  for (const dir of dirs.slice(1)) copyLedger(join(first, '.lockstep'), join(dir, '.lockstep'))
  return { dirs, engine, engineOn: ({ url }) => url(new URL(engine).pathname.slice(1)), ledgerId }
}

async function inDatabase(engine: string, work: (database: Database) => Promise<unknown>): Promise<void> {
  const database = await Database.of({ connectionString: engine })
  try {
    await work(database)
  } finally {
    await database.close()
  }
}
