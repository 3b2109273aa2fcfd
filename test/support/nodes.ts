import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { equal } from 'uvu/assert'
import { readEngineFile } from '../../src/disk/engine-file.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { Database } from '../../src/log/postgres/database.ts'
import { setUpSchema } from '../../src/log/postgres/setup.ts'
import { openLedger } from '../../src/open.ts'
import { all, becca } from '../api/stage.ts'
import { copyLedger, temporaryRoot, testActor } from './ledger.ts'
import type { PostgresServer } from './postgres.ts'

type Engine = `postgres://${string}`

/** A ledger in a database, and the home folders of the nodes that share it. */
export interface NodesLedger {
  dirs: string[]
  engine: Engine
  /** The secret under which nodes forward calls. */
  token: string
}

/** Makes a ledger in a new database, and a home folder with its keys for each node: node-0, node-1, … */
export async function newNodesLedger(server: PostgresServer, count: number): Promise<NodesLedger> {
  const engine = (await server.database()) as Engine
  const database = await Database.of({ connectionString: engine })
  await setUpSchema(database, 'lockstep_writer').finally(() => database.close())
  const dirs = Array.from({ length: count }, () => temporaryRoot())
  const [first = ''] = dirs
  const ledger = await openLedger({ actor: testActor, create: true, dir: first, engine, policy: false })
  const token_actor = { actor_id: 'nodes', actor_type: 'system' } as const
  const { secret } = await ledger.tokens.create({ actor: becca, grants: ['node'], token_actor })
  await ledger.close()
  for (const [at, dir] of dirs.entries()) {
    if (at > 0) copyLedger(join(first, '.lockstep'), join(dir, '.lockstep'))
    useEngine(dir, engine, `node-${at}`)
  }
  return { dirs, engine, token: secret ?? '' }
}

/** Points the home folder of a node to a database. */
export function useEngine(dir: string, engine: string, node?: string): void {
  const layout = layoutOf(dir)
  const file = readEngineFile(layout)
  writeFileSync(layout.engine, JSON.stringify({ ...file, engine, node: node ?? file?.node }))
}

/** Verifies a ledger that no node writes any more: how every test of nodes ends. Returns its entries. */
export async function entriesLeft({ dirs: [dir = ''] }: NodesLedger): Promise<Entry[]> {
  const ledger = await openLedger({ actor: testActor, dir })
  try {
    await ledger.log.verify()
    const entries = await all(ledger.log.read())
    equal(
      entries.map(({ seq }) => seq),
      entries.map((_, at) => at),
    )
    return entries
  } finally {
    await ledger.close()
  }
}
