import { LockstepError } from '../../errors.ts'
import { formatVersion } from '../../kernel/format.ts'
import { limits } from '../../kernel/limits.ts'
import { rootOf } from '../../merkle/frontier.ts'
import { concatBytes, toHex } from '../../merkle/hash.ts'
import { emptyTree } from '../../merkle/tiles.ts'
import { corrupt } from '../corrupt.ts'
import type { Heads } from '../heads.ts'
import { IndexRows } from '../keyed/index-rows.ts'
import { Objects, putMark } from '../keyed/objects.ts'
import type { StoredHead } from '../keyed/rows/head-row.ts'
import * as keys from '../keyed/rows/keys.ts'
import { putMeta } from '../keyed/rows/meta-row.ts'
import type { StoreBatch } from '../keyed/store.ts'
import type { Grown } from '../keyed/tree.ts'
import { putView } from '../keyed/view-write.ts'
import { newDigestKey } from '../keyed-digest.ts'
import { leafHashOfText } from '../leaf.ts'
import type {
  Appended,
  Cursors,
  ErasedWrite,
  Log,
  LogSnapshot,
  Meta,
  Recorded,
  SignedHead,
  TreeHeadFile,
  ViewWrite,
} from '../log.ts'
import { sha256 } from '../sha256.ts'
import { Appender } from './appender.ts'
import type { Database, Session } from './database.ts'
import { type Ground, type Known, PostgresReader, readKnown } from './reader.ts'
import { isSamePlace, notWriter, readSeat, type Seat } from './seat.ts'
import { appendOf, type Changes, changeOf, type Statement } from './write.ts'

/** What an open log is made of. */
export interface PostgresParts {
  database: Database
  ledgerId: string
  known: Known
  meta: Meta
  /** The name of this node, under which its cursors are kept. */
  node: string
  /** How long an append whose outcome is unknown is looked for. */
  recoverMillisMax?: number | undefined
}

/** The head and the tree of all appends that were sent. */
interface Tail {
  root: Uint8Array
  size: number
}

/**
 * A log in PostgreSQL. It reads as a node that follows, and writes while it has the writer's seat (`write`). One append is
 * one statement, which compares the head and writes everything or nothing (ADR 0074). The next append is sent before the
 * last one was answered.
 */
export class PostgresLog extends PostgresReader implements Log {
  meta: Meta
  readonly objects: Objects
  readonly index: IndexRows
  readonly counts = { batches: 0, entries: 0, puts: 0 }
  readonly #parts: PostgresParts
  #writing: { appender: Appender; seat: Seat } | undefined
  #raised: Meta | undefined
  #tail: Tail
  /** The appends that were sent and not answered yet. */
  #pending = 0
  #following: Promise<void> | undefined

  constructor(parts: PostgresParts) {
    const { database, known, ledgerId, meta } = parts
    super({ ledgerId, queries: database }, known)
    this.#parts = parts
    this.#tail = known.head
    this.meta = meta
    this.objects = new Objects({
      fetched: (digests, notes = []) => this.pairs.fetched(notes.map(keys.noteKey), digests),
      scan: (range) => this.pairs.scan(range),
      write: async (batch) => {
        await this.#change({ batch })
        this.counts.batches += 1
        this.counts.puts += batch.puts.length
      },
    })
    this.index = new IndexRows({
      generation: () => this.head().generation,
      scan: (range) => this.pairs.scan(range),
      write: (batch) => this.#change({ batch }),
    })
  }

  /** The seat under which this log writes; undefined while it only follows. */
  get custody(): Seat | undefined {
    return this.#writing?.seat
  }

  /** Begins to write under a seat that this node has taken. Errors: those of the database. */
  async write(seat: Seat): Promise<void> {
    const { database, recoverMillisMax = limits.appendRecoverMillisMax } = this.#parts
    const session = await database.pipelined()
    const reconnected = (again: Session) => this.#assertSeat(again, seat)
    this.#writing = { appender: new Appender(session, { database, reconnected, recoverMillisMax }), seat }
    await this.follow()
  }

  /** Cost: one round trip. */
  async append(
    expected: { epoch?: number; size: number },
    recorded: readonly Recorded[],
    writes: readonly (ErasedWrite | ViewWrite)[],
    cursors: Cursors,
  ): Promise<Appended> {
    const { appender, seat } = this.#writer()
    const { epoch = seat.epoch, size } = expected
    if (size !== this.#tail.size || epoch !== seat.epoch) return this.#moved()
    const grown = this.known.tree.grow(recorded.map(({ text }) => leafHashOfText(text)))
    const { statement, raised } = this.#statement({ cursors, grown, recorded, seat, writes })
    this.#tail = { root: rootOf(grown.tree.frontier, sha256), size: grown.tree.frontier.size }
    const { root } = this.#tail
    const hasLanded = (session: Session) => this.#hasLanded(session, { epoch, recorded, size })

    this.#pending += 1
    const sentAt = performance.now()
    const sent = appender.send(statement, hasLanded)
    this.#last = sent
    const { done, now_ms } = await sent.finally(() => {
      this.#pending -= 1
    })
    if (done === 0) return this.#moved()
    seat.extended(sentAt, now_ms)
    if (raised !== undefined) this.meta = raised
    const { last, tree } = this.known
    last.keep(grown.tiles)
    tree.keep(grown)
    this.known = { head: { ...this.known.head, cursors, epoch, root, size: grown.tree.frontier.size }, last, tree }
    this.counts.batches += 1
    this.counts.entries += recorded.length
    this.#signing?.keeper.touch()
    return { outcome: 'done' }
  }

  async follow(): Promise<StoredHead> {
    if (this.#pending > 0) await this.#answered()
    else {
      this.#following ??= this.#refresh().finally(() => {
        this.#following = undefined
      })
      await this.#following
    }
    return this.head()
  }

  async keepCursors(cursors: Cursors): Promise<void> {
    const { database, ledgerId, node } = this.#parts
    await database.query(
      `INSERT INTO lockstep.cursor VALUES ($1, $2, $3)
       ON CONFLICT (ledger_id, node) DO UPDATE SET cursors = excluded.cursors`,
      [ledgerId, node, JSON.stringify(cursors)],
    )
    this.known = { ...this.known, head: { ...this.known.head, cursors } }
  }

  /** What an erased value leaves is removed by the server: by its vacuum, and as its write-ahead log is recycled. */
  async purge(): Promise<boolean> {
    return true
  }
