import { LockstepError } from '../../errors.ts'
import { formatTooNew, formatVersion } from '../../kernel/format.ts'
import { rootOf } from '../../merkle/frontier.ts'
import { emptyTree } from '../../merkle/tiles.ts'
import { encode } from '../keyed/rows/codec.ts'
import { metaKey } from '../keyed/rows/keys.ts'
import { newDigestKey } from '../keyed-digest.ts'
import type { Meta, NewMeta } from '../log.ts'
import { sha256 } from '../sha256.ts'
import type { Database, Session } from './database.ts'
import type { PostgresLog } from './postgres-log.ts'
import { grantsTo, schemaSteps, schemaVersion } from './schema.ts'
import { notWriter, type Query } from './seat.ts'

/** What `engine init` and `engine upgrade` did. */
export interface SetUp {
  /** The version of the schema before; 0 if there was none. */
  from: number
  to: number
  writer: string
}

/**
 * Brings the schema of a database to this version's, in one transaction, and gives the writer's role its rights. The role
 * is made, without a login, if there is none. Errors: FORMAT_TOO_NEW (the schema has a later version), INVALID_INPUT, those
 * of the database.
 */
export async function setUpSchema(database: Database, writer: string): Promise<SetUp> {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(writer)) {
    throw new LockstepError('INVALID_INPUT', `a role has lower-case letters, digits and underscores, not ${writer}`)
  }
  return inTransaction(database, async ({ query }) => {
    const from = await schemaVersionOf(query)
    if (from > schemaVersion) throw formatTooNew('the schema of the database', { found: from, read: schemaVersion })
    for (const step of schemaSteps.slice(from)) await query(step, [])
    await query(`UPDATE lockstep.version SET version = ${schemaVersion}`, [])
    const [role] = await query('SELECT 1 FROM pg_roles WHERE rolname = $1', [writer])
    if (role === undefined) await query(`CREATE ROLE ${writer} NOLOGIN`, [])
    await query(grantsTo(writer), [])
    return { from, to: schemaVersion, writer }
  })
}

/** The version of the schema in a database; 0 if it has none. */
export async function schemaVersionOf(query: Query): Promise<number> {
  const [found] = await query<[table: string | null]>(`SELECT to_regclass('lockstep.version')::text`, [])
  if (found?.[0] == null) return 0
  const [row] = await query<[version: number]>('SELECT version FROM lockstep.version', [])
  return row?.[0] ?? 0
}

/** Checks that this version can use the schema of a database. Errors: LEDGER_UNAVAILABLE, FORMAT_TOO_NEW. */
export async function assertSchema(query: Query): Promise<void> {
  const found = await schemaVersionOf(query)
  if (found === schemaVersion) return
  if (found > schemaVersion) throw formatTooNew('the schema of the database', { found, read: schemaVersion })
  const what =
    found === 0 ? 'the database has no schema of Lockstep' : `the schema of the database has version ${found}`
  throw new LockstepError('LEDGER_UNAVAILABLE', what, {
    details: { outcome: 'not_applied' },
    hint: `Run "lockstep engine ${found === 0 ? 'init' : 'upgrade'}" with a role that may change the schema.`,
  })
}

/** Adds a ledger without entries to a database. Errors: LEDGER_EXISTS, those of the database. */
export async function createInDatabase(
  database: Database,
  { format = formatVersion, ...named }: NewMeta,
): Promise<void> {
  const meta: Meta = { digest_key: newDigestKey(), format, ...named }
  const [made] = await database.query(
    `WITH h AS (INSERT INTO lockstep.head (ledger_id, size, root, frontier, format, origin)
                VALUES ($1, 0, $2, '', $3, $4) ON CONFLICT DO NOTHING RETURNING 1),
     r AS (INSERT INTO lockstep.row SELECT $1, 0, $5, $6 FROM h)
     SELECT 1 FROM h`,
    [meta.ledger_id, rootOf(emptyTree.frontier, sha256), meta.format, meta.origin, metaKey, encode(metaKey, meta)],
  )
  if (made !== undefined) return
  throw new LockstepError('LEDGER_EXISTS', `the database already has the ledger ${meta.ledger_id}`, {
    details: { ledger_id: meta.ledger_id },
  })
}

async function inTransaction<T>(database: Database, work: (session: Session) => Promise<T>): Promise<T> {
  const session = await database.connection()
  try {
    await session.query('BEGIN', [])
    const result = await work(session)
    await session.query('COMMIT', [])
    return result
  } finally {
    // Whatever was not committed is undone.
    await session.end()
  }
}

/** Whether a database has a ledger. Errors: those of `assertSchema` and of the database. */
export async function holdsLedger(query: Query, ledgerId: string): Promise<boolean> {
  await assertSchema(query)
  const rows = await query('SELECT 1 FROM lockstep.head WHERE ledger_id = $1', [ledgerId])
  return rows.length > 0
}

/**
 * Gives a ledger in a database another identity, or its place a name, unless another node has the seat of this log.
 * Errors: NOT_WRITER, those of the database.
 */
export async function renameInDatabase(log: PostgresLog, meta: Meta): Promise<void> {
  const { database, ledgerId } = log.parts
  const [renamed] = await database.query(
    `WITH h AS (UPDATE lockstep.head SET format = $3, origin = $4 WHERE ledger_id = $1 AND epoch = $2 RETURNING 1),
     r AS (UPDATE lockstep.row SET value = $6 WHERE ledger_id = $1 AND gen = 0 AND key = $5 AND EXISTS (SELECT 1 FROM h))
     SELECT 1 FROM h`,
    [ledgerId, log.custody?.epoch, meta.format, meta.origin, metaKey, encode(metaKey, meta)],
  )
  if (renamed === undefined) throw notWriter('another node has the seat')
  log.meta = meta
}
