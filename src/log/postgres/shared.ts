import type { EngineFile } from '../../disk/engine-file.ts'
import type { Layout } from '../../disk/layout.ts'
import { limits } from '../../kernel/limits.ts'
import { configOf } from './connection.ts'
import { Database } from './database.ts'
import { openFollower } from './open.ts'
import type { PostgresLog } from './postgres-log.ts'
import { readSeat, type Seat, type SeatRow, takeSeat } from './seat.ts'
import type { Signing } from './signing.ts'

/** A log that this node writes, with the seat under which it does. */
export interface WrittenLog {
  log: PostgresLog
  seat: Seat
}

/**
 * A ledger in a database as the service of a node opens it: it follows the log, and writes when the seat is free. A node
 * that is started again takes a seat that it had before at once.
 */
export class SharedLog {
  readonly follower: PostgresLog
  readonly node: string
  readonly #database: Database
  readonly #file: EngineFile
  readonly #layout: Layout
  readonly #signing: Signing | undefined

  private constructor(
    file: EngineFile,
    layout: Layout,
    { database, follower }: Pick<SharedLog, 'follower'> & { database: Database },
  ) {
    this.#database = database
    this.#file = file
    this.#layout = layout
    this.follower = follower
    this.#signing = follower.signing
    this.node = `${file.node}/service`
  }

  /** Errors: those of `openFollower`. */
  static async open(file: EngineFile, layout: Layout): Promise<SharedLog> {
    const follower = await openFollower({ file, layout })
    // Queries about the seat fail when they take too long, because the seat would be lost meanwhile.
    const config = { ...configOf(file.engine), query_timeout: limits.seatMillis.lease }
    return new SharedLog(file, layout, { database: await Database.of(config), follower })
  }

  /** The seat as it is now. Errors: NO_LEDGER, LEDGER_UNAVAILABLE. */
  async look(): Promise<SeatRow> {
    const row = await readSeat(this.#database.query, this.#file.ledger_id)
    this.follower.parts.clock.told(row)
    return row
  }

  /** Called when the follower has taken in what others appended: this node keeps the newest head that it knows. */
  followed(): void {
    this.follower.signing = this.#signing
    this.#signing?.keeper.touch()
  }

  /**
   * Takes the seat and opens the log to write; undefined if another node has the seat. `failed` is told when an extension
   * of the seat failed. Errors: those of `openFollower`.
   */
  async write(url: string | undefined, failed: (error: unknown) => void): Promise<WrittenLog | undefined> {
    const log = await openFollower({ file: this.#file, layout: this.#layout })
    const { node } = this
    let seat: Seat | undefined
    try {
      seat = await takeSeat(this.#database.query, this.#file.ledger_id, url === undefined ? { node } : { node, url })
      if (seat !== undefined) {
        seat.keep(failed)
        await log.write(seat)
        // The follower falls behind now, and one of the two keeps the head of this node.
        this.follower.signing = undefined
        return { log, seat }
      }
    } catch (error) {
      await seat?.giveBack().catch(() => {})
      await log.close().catch(() => {})
      throw error
    }
    await log.close()
    return undefined
  }

  /** Closes what the seat needs. Whoever has the follower closes it. */
  async close(): Promise<void> {
    await this.#database.close()
  }
}
