import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { equal } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { Database } from '../../src/log/postgres/database.ts'
import { openPostgresLog } from '../../src/log/postgres/open.ts'
import { createInDatabase, setUpSchema } from '../../src/log/postgres/setup.ts'
import { appendFirst, newIdentity } from '../../src/nouns/create.ts'
import { makeHome, newConfig } from '../../src/nouns/home.ts'
import { openShared, type Writing } from '../../src/shared.ts'
import { all, becca } from '../api/stage.ts'
import { copyLedger, temporaryRoot, testActor } from './ledger.ts'
import type { PostgresServer } from './postgres.ts'
import { until } from './service.ts'

/** A ledger in a database, and the home folders of the nodes that share it. */
export interface NodesLedger {
  dirs: string[]
  engine: string
  ledgerId: string
  /** The secret under which nodes forward calls. */
  token: string
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
  const made = { dirs, engine, engineOn: ({ url }: PostgresServer) => url(new URL(engine).pathname.slice(1)), ledgerId }
  const token = await asWriter(made, async (ledger) => {
    const token_actor = { actor_id: 'nodes', actor_type: 'system' } as const
    const { secret } = await ledger.tokens.create({ actor: becca, grants: ['node'], token_actor })
    return secret ?? ''
  })
  return { ...made, token }
}

/** Does work with a ledger that no node writes now. */
async function asWriter<T>(
  { dirs, engine, ledgerId }: Pick<NodesLedger, 'dirs' | 'engine' | 'ledgerId'>,
  work: (ledger: LocalLedger) => Promise<T>,
): Promise<T> {
  const shared = await openShared({ actor: testActor, dir: dirs[0] ?? '', engine, ledgerId, node: 'by-hand' })
  try {
    let writing: Writing | undefined
    await until('the seat is free', async () => {
      writing = await shared.write(undefined)
      return writing !== undefined
    })
    if (writing === undefined) throw new Error('no seat')
    try {
      return await work(writing.ledger)
    } finally {
      await writing.ledger.close()
    }
  } finally {
    await shared.close()
  }
}

/** The entries of a ledger that no node writes any more, without a gap: how every test of nodes ends. */
export function entriesLeft(ledger: NodesLedger): Promise<Entry[]> {
  return asWriter(ledger, async (opened) => {
    const entries = await all(opened.log.read())
    equal(
      entries.map(({ seq }) => seq),
      entries.map((_, at) => at),
    )
    return entries
  })
}

async function inDatabase(engine: string, work: (database: Database) => Promise<unknown>): Promise<void> {
  const database = await Database.of({ connectionString: engine })
  try {
    await work(database)
  } finally {
    await database.close()
  }
}
