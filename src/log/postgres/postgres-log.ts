import { LockstepError } from '../../errors.ts'
import { formatVersion } from '../../kernel/format.ts'
import { limits } from '../../kernel/limits.ts'
import { rootOf } from '../../merkle/frontier.ts'
import type { HeadKeeper } from '../head-keeper.ts'
import type { HeadPlace, Heads } from '../heads.ts'
import { IndexRows } from '../keyed/index-rows.ts'
import { Objects } from '../keyed/objects.ts'
import type { StoredHead } from '../keyed/rows/head-row.ts'
import { noteKey } from '../keyed/rows/keys.ts'
import { newDigestKey } from '../keyed-digest.ts'
import { leafHashOfText } from '../leaf.ts'
import type {
  Appended,
  Cursors,
  ErasedWrite,
  Head,
  Log,
  Meta,
  Recorded,
  SignedHead,
  TreeHeadFile,
  ViewWrite,
} from '../log.ts'
import { sha256 } from '../sha256.ts'
import { Appender } from './appender.ts'
import { PostgresCopy } from './copy.ts'
import type { Database, Session } from './database.ts'
import { assertExtends } from './extends.ts'
import { type Known, PostgresReader, readKnown } from './reader.ts'
import { notWriter, readSeat, type Seat } from './seat.ts'
import { PostgresSnapshot } from './snapshot.ts'
import { appendOf, type Changes, changeOf, changesOf, type Done } from './write.ts'

/** What an open log is made of. */
export interface PostgresParts {
  database: Database
  known: Known
  ledgerId: string
  meta: Meta
  /** The name of this node, under which its cursors are kept. */
  node: string
  /** How long an append whose outcome is unknown is looked for. */
  recoverMillisMax?: number | undefined
}

/** What signs and keeps the heads of a log, in the home folder of its node. */
interface Signing {
  heads: Heads
  keeper: HeadKeeper
  place: HeadPlace
  /** Opens the ledger again, to sign what a copy asks for after this log was closed. */
  reopened: () => Promise<PostgresLog>
}

/**
 * A log in PostgreSQL (ADR 0074). It follows what others append, and writes once it has the writer's seat (`write`). One
 * append is one statement, which compares the head and writes everything or nothing. The next append is sent before the
 * last one is answered.
 */
export class PostgresLog extends PostgresReader implements Log {
  meta: Meta
  readonly objects: Objects
  readonly index: IndexRows
  readonly counts = { batches: 0, entries: 0, puts: 0 }
  readonly parts: PostgresParts
  #signing: Signing | undefined
  #writing: { appender: Appender; seat: Seat } | undefined
  /** The meta row that the next append writes, if the ledger is being raised to this version's format. */
  #raised: Meta | undefined
  /** The head after everything that was sent. */
  #tail: Pick<Head, 'root' | 'size'>
  /** The appends that were sent and are not answered, and the last of them. */
  #unanswered = 0
  #last: Promise<unknown> = Promise.resolve()
  #following: Promise<void> | undefined
  #isClosed = false

  constructor(parts: PostgresParts) {
    const { database, known, ledgerId, meta } = parts
    super({ ledgerId, query: database.query }, known)
    this.parts = parts
    this.#tail = known.head
    this.meta = meta
    this.objects = new Objects({
      fetched: (digests, notes = []) => this.pairs.fetched(notes.map(noteKey), digests),
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

  /** Begins to write under a seat that this node has taken. Errors: those of the database, LEDGER_FORKED. */
  async write(seat: Seat): Promise<void> {
    const { database, recoverMillisMax = limits.databaseMillis.recover } = this.parts
    const session = await database.pipelined()
    const reconnected = (again: Session) => this.#assertSeat(again, seat)
    this.#writing = { appender: new Appender(session, { database, reconnected, recoverMillisMax }), seat }
    await this.follow()
  }

  /** Called once, by the open. */
  signWith(signing: Signing): void {
    this.#signing = signing
  }

  /** Cost: one round trip. */
  async append(
    expected: Pick<Head, 'epoch' | 'size'>,
    recorded: readonly Recorded[],
    writes: readonly (ErasedWrite | ViewWrite)[],
    cursors: Cursors,
  ): Promise<Appended> {
    const { appender, seat } = this.#writer()
    const { epoch } = seat
    const [before, raised] = [this.#tail, this.#raised]
    if (expected.size !== before.size || (expected.epoch ?? epoch) !== epoch) return this.#moved(seat)
    const { head, tree } = this.known
    const grown = tree.grow(recorded.map(({ text }) => leafHashOfText(text)))
    const { frontier } = grown.tree
    const after = { root: rootOf(frontier, sha256), size: frontier.size }
    const changes = changesOf({ generation: head.generation, grown, raised, recorded, writes })
    if (JSON.stringify(cursors) !== JSON.stringify(head.cursors)) changes.cursors = { cursors, node: this.parts.node }
    const format = (raised ?? this.meta).format
    const statement = appendOf(
      this.ground.ledgerId,
      { before: { ...before, epoch }, after: { ...after, format, frontier }, leaseMillis: limits.seatMillis.lease },
      changes,
    )
    this.#tail = after

    const sentAt = performance.now()
    this.#unanswered += 1
    const sent = appender.send(statement, (session) => this.#hasLanded(session, before.size, seat))
    this.#last = sent
    const [done, nowMillis] = await sent.finally(() => {
      this.#unanswered -= 1
    })
    if (done === 0) return this.#moved(seat)
    seat.extended(sentAt, nowMillis)
    if (raised !== undefined) this.meta = raised
    this.#raised = undefined
    const { last } = this.known
    last.keep(grown.tiles)
    tree.keep(grown)
    this.known = { head: { ...this.known.head, ...after, cursors, epoch }, last, tree }
    this.counts.batches += 1
    this.counts.entries += recorded.length
    this.counts.puts += changes.batch.puts.length
    this.#signing?.keeper.touch()
    return { outcome: 'done' }
  }

  async follow(): Promise<StoredHead> {
    if (this.#unanswered > 0) await this.#answered()
    else {
      this.#following ??= this.#refresh().finally(() => {
        this.#following = undefined
      })
      await this.#following
    }
    return this.head()
  }

  async keepCursors(cursors: Cursors): Promise<void> {
    const { database, ledgerId, node } = this.parts
    await database.query(
      `INSERT INTO lockstep.cursor VALUES ($1, $2, $3)
       ON CONFLICT (ledger_id, node) DO UPDATE SET cursors = excluded.cursors`,
      [ledgerId, node, JSON.stringify(cursors)],
    )
    this.known = { ...this.known, head: { ...this.known.head, cursors } }
  }

  /** What an erased value leaves is removed by the server: by its vacuum, and as it recycles its write-ahead log. */
  async purge(): Promise<boolean> {
    return true
  }

  /** Signs a size for a copy, once it was compared with the copy. */
  async #signFor(size: number, compare: (log: Log) => Promise<void>): Promise<SignedHead> {
    const log = this.#isClosed ? await this.#signs().reopened() : this
    try {
      await compare(log)
      return await log.sign(size)
    } finally {
      if (log !== this) await log.close()
    }
  }

  headFile(): TreeHeadFile | undefined {
    return this.#signing?.place.read()
  }

  sign(size: number): Promise<SignedHead> {
    return this.#signs().heads.sign(size)
  }

  keepHead(): Promise<boolean> {
    return this.#signs().heads.keep()
  }

  raise(): void {
    this.#raised = { digest_key: newDigestKey(), ...this.meta, format: formatVersion }
  }

  snapshot(): Promise<PostgresSnapshot> {
    return PostgresSnapshot.of(this.parts)
  }

  async copy(): Promise<PostgresCopy> {
    const { database, ledgerId, node } = this.parts
    const headFile = this.headFile()
    const session = await database.snapshot()
    const known = await readKnown({ ledgerId, query: session.query }, node)
    return new PostgresCopy({
      headFile,
      known,
      ledgerId,
      meta: this.meta,
      session,
      sign: (size, check) => this.#signFor(size, check),
    })
  }

  /** Gives the seat back, so that another node can take it at once. */
  async close(): Promise<void> {
    const { database } = this.parts
    this.#isClosed = true
    try {
      await this.#answered().catch(() => {})
      await this.#signing?.keeper.close()
      await this.#writing?.seat.giveBack()
    } finally {
      await this.#writing?.appender.close()
      await database.close()
    }
  }

  protected override async newest(): Promise<void> {
    if (this.#unanswered > 0) await this.#answered().catch(() => {})
    else if (this.#writing === undefined) await this.follow()
  }

  #writer(): { appender: Appender; seat: Seat } {
    if (this.#writing === undefined) throw notWriter('it follows the log')
    return this.#writing
  }

  #signs(): Signing {
    if (this.#signing === undefined) throw new LockstepError('INVARIANT_VIOLATED', 'this log was not opened to sign')
    return this.#signing
  }

  /** Errors: those of the last append that was sent. */
  async #answered(): Promise<void> {
    while (this.#unanswered > 0) await this.#last
  }

  /** The head is not the one that was expected. Errors: NOT_WRITER if another node has taken the seat. */
  async #moved(seat: Seat): Promise<Appended> {
    await this.#answered()
    const head = await this.follow()
    if (head.epoch !== seat.epoch) throw seat.lose('another node has the seat')
    return { outcome: 'moved', head }
  }

  /** Takes in what others have appended, unless this log appends meanwhile. Errors: LEDGER_FORKED, LEDGER_CORRUPT. */
  async #refresh(): Promise<void> {
    const before = this.known
    const now = await readKnown(this.ground, this.parts.node)
    if (this.known !== before || this.#unanswered > 0) return
    await assertExtends(this.ground, now, before.head)
    if (this.known !== before || this.#unanswered > 0) return
    this.known = now
    this.#tail = now.head
  }

  /** Writes derived data, unless another node has taken the seat. What is written may be written twice. */
  async #change(changes: Changes): Promise<void> {
    const { seat } = this.#writer()
    const { text, values } = changeOf(this.ground.ledgerId, seat.epoch, changes)
    const [answer] = await this.ground.query<Done>(text, values)
    if (answer?.[0] !== 1) throw seat.lose('another node has the seat')
  }

  /** Whether the batch at a seq is of this seat. Only this log writes under it. */
  async #hasLanded(session: Session, seq: number, { epoch }: Seat): Promise<boolean> {
    const rows = await session.query('SELECT 1 FROM lockstep.batch WHERE ledger_id = $1 AND seq = $2 AND epoch = $3', [
      this.ground.ledgerId,
      seq,
      epoch,
    ])
    return rows.length > 0
  }

  /** A new connection may lead to another server, with another history. Errors: NOT_WRITER. */
  async #assertSeat(session: Session, seat: Seat): Promise<void> {
    const row = await readSeat(session.query, this.ground.ledgerId)
    const { system, timeline } = seat.place
    if (row?.system === system && row.timeline === timeline && row.epoch === seat.epoch) return
    throw seat.lose('the connection was lost, and the seat with it')
  }
}
