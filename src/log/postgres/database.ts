import { setTimeout as pause } from 'node:timers/promises'
import type { Client, ClientConfig, Pool } from 'pg'
import { databaseError, isOfConnection } from './errors.ts'
import { databaseLimits } from './limits.ts'
import type { Query } from './seat.ts'

/** A connection of its own. */
export interface Session {
  query: Query
  /** Ends the connection after what was sent. */
  end(): Promise<void>
  /** Lets go of the connection at once. Nothing is cancelled: what was sent may still be executed. */
  destroy(): void
}

/** Makes a client. A test gives one that fails. */
export type Connect = (config: ClientConfig) => Promise<Client>

/**
 * A PostgreSQL database. Reads share a few connections. An append has a connection of its own, without any limit on the
 * time of a statement, because a cancelled statement may be durable.
 */
export class Database {
  /**
   * Runs a statement on any connection. It reads, or changes something that may be done twice, so after the loss of a
   * connection it is run again.
   */
  readonly query: Query
  readonly #config: ClientConfig
  readonly #connect: Connect
  readonly #pools: { reads: Pool; snapshots: Pool }
  #isClosed = false

  private constructor(config: ClientConfig, pools: { reads: Pool; snapshots: Pool }, connect: Connect) {
    this.#config = config
    this.#connect = connect
    this.#pools = pools
    this.query = persistent(
      queryOf((query) => pools.reads.query(query)),
      () => !this.#isClosed,
    )
    // A connection that fails while it is idle is replaced by the next query.
    for (const pool of Object.values(pools)) pool.on('error', () => {})
  }

  /** Nothing is connected yet. The driver is loaded on first use. */
  static async of(config: ClientConfig, connect: Connect = connected): Promise<Database> {
    const { default: pg } = await import('pg')
    const whole = { connectionTimeoutMillis: databaseLimits.connectMillis, keepAlive: true, ...config }
    const { reads, snapshots } = databaseLimits
    return new Database(
      whole,
      { reads: new pg.Pool({ ...whole, max: reads }), snapshots: new pg.Pool({ ...whole, max: snapshots }) },
      connect,
    )
  }

  /** A connection for a transaction. */
  async connection(): Promise<Session> {
    return sessionOf(await this.#connect(this.#config).catch(refused))
  }

  /** A connection on which statements are sent without waiting for the answers to earlier ones. */
  async pipelined(): Promise<Session> {
    const client = await this.#connect({ ...this.#config, pipeline: true }).catch(refused)
    const session = sessionOf(client)
    try {
      await session.query('SET statement_timeout = 0', [])
      await session.query('SET lock_timeout = 0', [])
      return session
    } catch (error) {
      await session.end()
      throw error
    }
  }

  /**
   * A connection that sees the database as it is now, whatever others write, until it is ended. One of its own outlives
   * this database.
   */
  async snapshot({ isOwn = false } = {}): Promise<Session> {
    const session = isOwn ? await this.connection() : await this.#borrowed()
    try {
      await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', [])
      await session.query('SELECT 1 FROM lockstep.version', [])
      return session
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  async #borrowed(): Promise<Session> {
    const client = await this.#pools.snapshots.connect().catch(refused)
    const query = queryOf((asked) => client.query(asked))
    const release = () => client.release()
    const destroy = () => client.release(true)
    // A connection that cannot end its transaction is not used again.
    return { destroy, end: () => query('ROLLBACK', []).then(release, destroy), query }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([this.#pools.reads.end(), this.#pools.snapshots.end()])
  }
}

async function connected(config: ClientConfig): Promise<Client> {
  const { default: pg } = await import('pg')
  const client = new pg.Client(config)
  // Every statement that waits is told of the failure, too.
  client.on('error', () => {})
  await client.connect()
  return client
}

function sessionOf(client: Client): Session {
  return {
    query: queryOf((query) => client.query(query)),
    end: () => client.end().catch(() => {}),
    destroy: () => client.connection.stream.destroy(),
  }
}

/**
 * Repeats a query whose connection is lost or refused, for a limited time, while the database is open here. One that never
 * answered is not tried again.
 */
function persistent(query: Query, isOpen: () => boolean): Query {
  let hasAnswered = false
  return async (text, values) => {
    const until = performance.now() + databaseLimits.recoverMillis
    for (;;) {
      try {
        const rows = await query(text, values)
        hasAnswered = true
        return rows as never
      } catch (error) {
        if (!hasAnswered || !isOpen() || !isOfConnection(error) || performance.now() >= until) throw error
        await pause(databaseLimits.pauseMillis)
      }
    }
  }
}

interface ArrayQuery {
  name?: string
  rowMode: 'array'
  text: string
  values: unknown[]
}

function queryOf(run: (query: ArrayQuery) => Promise<{ rows: unknown[][] }>): Query {
  return async <R extends unknown[]>(text: string, values: readonly unknown[]) => {
    const named = values.length === 0 ? {} : { name: nameOf(text) }
    const { rows } = await run({ ...named, rowMode: 'array', text, values: [...values] }).catch(refused)
    return rows as R[]
  }
}

function refused(cause: unknown): never {
  throw databaseError(cause)
}

/** Statements are prepared once for each connection, under names of their own. */
const names = new Map<string, string>()

function nameOf(text: string): string {
  const known = names.get(text) ?? `lockstep_${names.size}`
  names.set(text, known)
  return known
}
