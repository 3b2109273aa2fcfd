import type { Layout } from '../../disk/layout.ts'
import { databaseBoot } from '../../kernel/clock.ts'
import { limits } from '../../kernel/limits.ts'
import { headPlace, readHeadFile } from '../head-file.ts'
import type { SharedClock } from '../holding.ts'
import { metaKey } from '../keyed/rows/keys.ts'
import { readMeta } from '../keyed/rows/meta-row.ts'
import { treeHeadOf } from '../tiles.ts'
import { Database } from './database.ts'
import { assertExtends } from './extends.ts'
import { Pairs } from './pairs.ts'
import { PostgresLog } from './postgres-log.ts'
import { readKnown } from './reader.ts'
import { readSeat, type Seat, type SeatRow, takeSeat } from './seat.ts'
import { assertSchema } from './setup.ts'
import { Signing } from './signing.ts'

export interface SharedOptions {
  connectionString: string
  layout: Layout
  ledgerId: string
  /** The name of this node. */
  node: string
  recoverMillisMax?: number | undefined
}

/** A log that this node writes, with the seat under which it does. */
export interface WrittenLog {
  log: PostgresLog
  seat: Seat
}

/** A ledger in a database as one of its nodes opens it: to follow it, and to write it when the seat is free. */
export class SharedLog {
  readonly options: SharedOptions
  /** For the seat. A query that takes too long fails, because the seat would be lost meanwhile. */
  readonly #database: Database
  #clock: { databaseMillis: number; at: number } = { databaseMillis: 0, at: 0 }
  #system = ''

  private constructor(options: SharedOptions, database: Database) {
    this.options = options
    this.#database = database
  }

  /** Errors: NO_LEDGER, LEDGER_UNAVAILABLE, FORMAT_TOO_NEW. */
  static async of(options: SharedOptions): Promise<SharedLog> {
    const { connectionString } = options
    const database = await Database.of({ connectionString, query_timeout: limits.seatMillis.lease })
    const shared = new SharedLog(options, database)
    try {
      await assertSchema(database.query)
      await shared.look()
      return shared
    } catch (error) {
      await database.close()
      throw error
    }
  }

  /** The database's clock. It is as old as the last look at the seat, and goes on by the clock of this process. */
  get clock(): SharedClock {
    return {
      boot_id: `${databaseBoot}${this.#system}`,
      millis: () => Math.floor(this.#clock.databaseMillis + performance.now() - this.#clock.at),
    }
  }

  /** The seat as it is now. Errors: NO_LEDGER, LEDGER_UNAVAILABLE. */
  async look(): Promise<SeatRow> {
    const { ledgerId } = this.options
    const row = await readSeat(this.#database.query, ledgerId)
    this.#clock = { databaseMillis: row.now_ms, at: performance.now() }
    this.#system = row.system
    return row
  }

  /** Opens the log without the right to write. Errors: LEDGER_FORKED, LEDGER_CORRUPT, LEDGER_UNAVAILABLE. */
  async follow(clock = this.clock): Promise<PostgresLog> {
    const { connectionString, layout, ledgerId, node, recoverMillisMax } = this.options
    const database = await Database.of({ connectionString })
    try {
      const ground = { ledgerId, query: database.query }
      const known = await readKnown(ground, node)
      const pairs = new Pairs(database.query, ledgerId, () => known.head)
      const meta = readMeta(await pairs.fetched([metaKey]))
      const file = readHeadFile(layout.head)
      for (const { root, size } of file === undefined ? [] : [file, file.reached ?? file]) {
        await assertExtends(ground, known, { root: Buffer.from(root, 'hex'), size })
      }
      return new PostgresLog({ clock, database, known, ledgerId, meta, node, recoverMillisMax })
    } catch (error) {
      await database.close()
      throw error
    }
  }

  /**
   * Takes the seat and opens the log to write; undefined if another node has the seat. `lost` is told when an extension
   * of the seat failed. Errors: as for `follow`.
   */
  async write(url: string | undefined, failed: (error: unknown) => void): Promise<WrittenLog | undefined> {
    const { layout, ledgerId, node } = this.options
    let seat: Seat | undefined
    const { clock } = this
    // While this node writes, each extension of the seat tells the time again.
    const log = await this.follow({ ...clock, millis: () => seat?.nowMillis() ?? clock.millis() })
    try {
      const claim = url === undefined ? { node } : { node, url }
      seat = await takeSeat(this.#database.query, ledgerId, claim)
      if (seat === undefined) {
        await log.close()
        return undefined
      }
      const taken = seat
      taken.keep(failed)
      await log.write(taken)
      log.signing = new Signing({ layout, log, isOurs: () => !taken.isLost, reopened: () => this.follow() })
      return { log, seat: taken }
    } catch (error) {
      await log.close().catch(() => {})
      throw error
    }
  }

  /**
   * Makes durable which tree head this node knows, so that it notices after a restart, too, that the database has lost
   * it. The head is not signed: only the writer signs.
   */
  async keepKnown(log: PostgresLog): Promise<void> {
    const place = headPlace(this.options.layout.head)
    const file = place.read()
    const { root, size } = treeHeadOf(log)
    if (file === undefined || Math.max(file.size, file.reached?.size ?? 0) >= size) return
    await place.write({ ...file, reached: { root, size } })
  }

  async close(): Promise<void> {
    await this.#database.close()
  }
}
