import { LockstepError } from '../../errors.ts'
import { databaseBoot } from '../../kernel/clock.ts'
import { limits } from '../../kernel/limits.ts'
import type { Holding, SharedClock, Term } from '../log-parts.ts'

/** Runs one statement on the primary and returns its rows, with their columns in order. */
export type Query = <R extends unknown[]>(text: string, values: readonly unknown[]) => Promise<R[]>

/** A node as the row of the head names it: its name, and where other nodes and clients reach it. */
export interface Node {
  node: string
  /** Absent if the node listens on no address that others reach. */
  url?: string
}

/**
 * Which history of which database a connection writes to. A standby that is promoted begins a timeline, and a database
 * that is made again has another system identifier. A standby has no timeline of its own: null.
 */
export interface Place {
  system: string
  timeline: string | null
}

/** The seat as the database shows it. */
export interface SeatRow extends Place {
  epoch: number
  /** The database's clock, in milliseconds since 1970. */
  now_ms: number
  /** Milliseconds until the seat is free; zero or less means that it is free now. */
  left_ms: number
  root: Uint8Array
  size: number
  writer: Node | null
}

const place = `system_identifier::text AS system,
  CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline`

const row = `epoch::float8, size::float8, root, writer,
  extract(epoch FROM clock_timestamp())::float8 * 1000 AS now_ms,
  coalesce(extract(epoch FROM nullif(lease_until, '-infinity') - clock_timestamp())::float8 * 1000, 0) AS left_ms`

const readSql = `SELECT ${row}, ${place} FROM lockstep.head, pg_control_system() WHERE ledger_id = $1`

const takeSql = `UPDATE lockstep.head SET epoch = epoch + 1, writer = $2::jsonb,
  lease_until = clock_timestamp() + $3::int * interval '1 ms'
 FROM pg_control_system()
 WHERE ledger_id = $1 AND (lease_until < clock_timestamp() OR writer->>'node' = $2::jsonb->>'node')
 RETURNING ${row}, ${place}`

const renewSql = `UPDATE lockstep.head SET lease_until = clock_timestamp() + $3::int * interval '1 ms'
 WHERE ledger_id = $1 AND epoch = $2 RETURNING extract(epoch FROM clock_timestamp())::float8 * 1000 AS now_ms`

// The next epoch refuses what this writer has sent and the server has not executed yet.
const giveBackSql = `UPDATE lockstep.head SET epoch = epoch + 1, lease_until = '-infinity', writer = NULL
 WHERE ledger_id = $1 AND epoch = $2`

/** Reads the seat. Errors: NO_LEDGER, those of the database. Cost: one read. */
export async function readSeat(query: Query, ledgerId: string): Promise<SeatRow> {
  const row = seatRow(await query<SeatColumns>(readSql, [ledgerId]))
  if (row !== undefined) return row
  throw new LockstepError('NO_LEDGER', `the database has no ledger ${ledgerId}`, { details: { ledger_id: ledgerId } })
}

/**
 * Takes the seat of the writer, if it is free or this node's own. The number of the epoch then fences every earlier
 * writer. Undefined if another node has the seat. Errors: those of the database. Cost: one durable write.
 */
export async function takeSeat(query: Query, ledgerId: string, node: Node): Promise<Seat | undefined> {
  const at = performance.now()
  const row = seatRow(await query<SeatColumns>(takeSql, [ledgerId, JSON.stringify(node), limits.seatMillis.lease]))
  return row && new Seat(query, ledgerId, { at, row })
}

type SeatColumns = [
  epoch: number,
  size: number,
  root: Uint8Array,
  writer: Node | null,
  now_ms: number,
  left_ms: number,
  system: string,
  timeline: string | null,
]

function seatRow([found]: SeatColumns[]): SeatRow | undefined {
  if (found === undefined) return undefined
  const [epoch, size, root, writer, now_ms, left_ms, system, timeline] = found
  return { epoch, size, root, writer, now_ms, left_ms, system, timeline }
}

/**
 * The right to write to a ledger in a database: a lease in the row of its head. Its states:
 * - **sure**: the lease was last extended so recently that no other node can have the seat.
 * - **unsure**: it was not, by this process's own monotonic clock. The node answers nothing that needs the seat. The next
 *   extension makes the seat sure again.
 * - **lost**: the epoch of the row is no longer this seat's, or the database has another history. This is final.
 *
 * The lease is extended by every append and once a second. The database's clock decides when the seat is free, and its
 * epoch refuses what an earlier writer still sends, so no clock of a node is trusted for writes.
 */
export class Seat implements Holding {
  readonly epoch: number
  readonly place: Place
  /** What the row showed when the seat was taken. */
  readonly taken: SeatRow
  readonly #query: Query
  readonly #ledgerId: string
  /** By the clock of this process: before the last successful extension was sent. */
  #extendedAt: number
  /** The database's clock at an answer, and this process's clock then. */
  #clock: { databaseMillis: number; at: number }
  #lost: LockstepError | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(query: Query, ledgerId: string, { at, row }: { at: number; row: SeatRow }) {
    const { epoch, now_ms, system, timeline } = row
    this.#query = query
    this.#ledgerId = ledgerId
    this.taken = row
    this.epoch = epoch
    this.place = { system, timeline }
    this.#extendedAt = at
    this.#clock = { databaseMillis: now_ms, at: performance.now() }
  }

  get term(): Term {
    const { system, timeline } = this.place
    // What follows the name of the node tells its processes apart.
    const [node = ''] = this.taken.writer?.node.split('/') ?? []
    return { epoch: this.epoch, node, system, timeline: timeline ?? '' }
  }

  get isSure(): boolean {
    return (
      this.#lost === undefined &&
      performance.now() - this.#extendedAt <= limits.seatMillis.lease - limits.seatMillis.margin
    )
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  /** The database's clock, in milliseconds since 1970. It is never ahead of it, and at most one round trip behind. */
  nowMillis(): number {
    const { at, databaseMillis } = this.#clock
    return Math.floor(databaseMillis + performance.now() - at)
  }

  /** Extends the lease once a second until the seat is lost or given back. `failed` is told of each failure. */
  keep(failed: (error: unknown) => void): void {
    this.#timer = setInterval(() => this.renew().catch(failed), limits.seatMillis.renew)
    this.#timer.unref()
  }

  /** Errors: NOT_WRITER (the seat is lost), those of the database. Cost: one durable write. */
  async renew(): Promise<void> {
    const at = performance.now()
    const [renewed] = await this.#query<[now_ms: number]>(renewSql, [
      this.#ledgerId,
      this.epoch,
      limits.seatMillis.lease,
    ])
    if (renewed === undefined) throw this.lose('another node has the seat')
    this.extended(at, renewed[0])
  }

  /**
   * An append or a renewal extended the lease. `at` is `performance.now()` from before it was sent, and `databaseMillis`
   * is the database's clock in its answer.
   */
  extended(at: number, databaseMillis: number): void {
    this.#extendedAt = Math.max(this.#extendedAt, at)
    this.#clock = { databaseMillis, at: performance.now() }
  }

  /** The seat is no longer this node's. Returns the error of everything that needs it. */
  lose(why: string): LockstepError {
    clearInterval(this.#timer)
    this.#lost ??= notWriter(why)
    return this.#lost
  }

  /** Called before an answer that needs no write. Errors: NOT_WRITER. */
  assertBefore(): void {
    this.assertNotMoved()
  }

  /** Errors: NOT_WRITER. */
  assertInPlace(): void {
    this.assertNotMoved()
  }

  /** Errors: NOT_WRITER, if the seat is lost or this node cannot be sure of it. Costs nothing. */
  assertNotMoved(): void {
    if (this.#lost !== undefined) throw this.#lost
    if (!this.isSure) throw notWriter('the database has not confirmed the seat in time')
  }

  /** Lets the next node take the seat at once. Called after the last write. Errors: those of the database. */
  async giveBack(): Promise<void> {
    const wasLost = this.isLost
    this.lose('the seat was given back')
    if (!wasLost) await this.#query(giveBackSql, [this.#ledgerId, this.epoch])
  }
}

/**
 * The database's clock, which all nodes share. It is as old as the last look at the seat, or its last extension, and goes
 * on by the clock of this process.
 */
export class DatabaseClock implements SharedClock {
  readonly boot_id: string
  /** The seat of this process, whose extensions tell the time. */
  seat: Seat | undefined
  #told: { databaseMillis: number; at: number }

  constructor(row: SeatRow) {
    this.boot_id = `${databaseBoot}${row.system}`
    this.#told = { databaseMillis: row.now_ms, at: performance.now() }
  }

  /** Takes in a look at the seat. */
  told({ now_ms }: SeatRow): void {
    this.#told = { databaseMillis: now_ms, at: performance.now() }
  }

  millis(): number {
    const { at, databaseMillis } = this.#told
    return this.seat?.nowMillis() ?? Math.floor(databaseMillis + performance.now() - at)
  }
}

/** The error of a node that does not have the seat: nothing was written. */
export function notWriter(why: string): LockstepError {
  return new LockstepError('NOT_WRITER', `this node does not write the ledger: ${why}`, {
    details: { outcome: 'not_applied' },
    hint: 'Repeat the request with the same key at the node that writes.',
  })
}
