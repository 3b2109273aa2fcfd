import { LockstepError } from '../../errors.ts'
import { configOf } from './connection.ts'
import { Database } from './database.ts'
import { type Durability, durabilityOf } from './durability.ts'
import { schemaName } from './schema.ts'
import { readSeat } from './seat.ts'
import { type SetUp, schemaVersionOf, setUpSchema } from './setup.ts'

/** What an operator sees of the database of a ledger. No member has a user or a password. */
export interface EngineFacts {
  database: string
  durability: Durability
  /** Rights of this role that a writer should not have: it could change what is hashed. */
  excess: string[]
  /** The writer's seat; null if the database has no such ledger, or if no ledger was named. */
  ledger: { epoch: number; ledger_id: string; left_ms: number; size: number; writer: string | null } | null
  /** How long a statement takes that reads nothing. */
  round_trip_ms: number
  /** The version of the schema; 0 if there is none. */
  schema_version: number
  server_version: string
}

/** Errors: those of the database. */
export async function engineFacts(engine: string, ledgerId?: string): Promise<EngineFacts> {
  return withDatabase(engine, async ({ query }) => {
    await query('SELECT 1', [])
    const at = performance.now()
    const [names = ['', '']] = await query<[database: string, version: string]>(
      `SELECT current_database(), current_setting('server_version')`,
      [],
    )
    const round_trip_ms = performance.now() - at
    const schema_version = await schemaVersionOf(query)
    const seat = ledgerId === undefined || schema_version === 0 ? undefined : await readSeat(query, ledgerId)
    const ledger =
      seat === undefined || ledgerId === undefined
        ? null
        : {
            epoch: seat.epoch,
            ledger_id: ledgerId,
            left_ms: Math.max(0, Math.round(seat.left_ms)),
            size: seat.size,
            writer: seat.writer?.node ?? null,
          }
    return {
      database: names[0],
      durability: await durabilityOf(query),
      excess: schema_version === 0 ? [] : await excessOf(query),
      ledger,
      round_trip_ms,
      schema_version,
      server_version: names[1],
    }
  })
}

/** Errors: those of `setUpSchema`. */
export function setUpEngine(engine: string, writer: string): Promise<SetUp> {
  return withDatabase(engine, (database) => setUpSchema(database, writer))
}

/** Tries to change and to delete what is hashed. Nothing is changed: no row fits. */
async function excessOf(query: Database['query']): Promise<string[]> {
  const excess: string[] = []
  for (const table of ['batch', 'tile']) {
    for (const [right, text] of [
      ['UPDATE', `UPDATE ${schemaName}.${table} SET ledger_id = ledger_id WHERE false`],
      ['DELETE', `DELETE FROM ${schemaName}.${table} WHERE false`],
    ] as const) {
      const isDenied = await query(text, []).then(
        () => false,
        (error: unknown) => {
          if (error instanceof LockstepError && error.details.sqlstate === '42501') return true
          throw error
        },
      )
      if (!isDenied) excess.push(`${right} on ${schemaName}.${table}`)
    }
  }
  return excess
}

async function withDatabase<T>(engine: string, work: (database: Database) => Promise<T>): Promise<T> {
  const database = await Database.of(configOf(engine))
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}
