import { LockstepError } from '../../errors.ts'
import { formatVersion } from '../../kernel/format.ts'
import type { ErasedWrite } from '../erased.ts'
import { IndexRows } from '../keyed/index-rows.ts'
import { Objects } from '../keyed/objects.ts'
import type { StoredHead } from '../keyed/rows/head-row.ts'
import { noteKey } from '../keyed/rows/keys.ts'
import { newDigestKey } from '../keyed-digest.ts'
import type { Appended, Cursors, Log, Meta, Recorded, SignedHead, ViewWrite } from '../log.ts'
import type { SharedClock } from '../log-parts.ts'
import { Appender, assertSeat, hasLanded } from './appender.ts'
import { PostgresCopy } from './copy.ts'
import type { Session } from './database.ts'
import { assertExtends } from './extends.ts'
import { databaseLimits } from './limits.ts'
import type { PostgresParts } from './parts.ts'
import { isNewest, PostgresReader, readKnown } from './reader.ts'
import { notWriter, type Seat } from './seat.ts'
import type { Signing } from './signing.ts'
import { PostgresSnapshot } from './snapshot.ts'
import type { Changes, Done } from './statement.ts'
import { changeOf, keepCursors, preparedAppend, renamedTo } from './write.ts'

/**
 * A log in PostgreSQL (ADR 0074). It follows what others append, and writes once it has the writer's seat (`write`). One
 * append is one statement, which compares the head and writes everything or nothing. The next append is sent before the
 * last one is answered.
 */
export class PostgresLog extends PostgresReader implements Log {
  meta: Meta
  readonly clock: SharedClock
  readonly objects: Objects
  readonly index: IndexRows
  readonly counts = { batches: 0, entries: 0, puts: 0 }
  readonly parts: PostgresParts
  /** Signs and keeps the heads, if this log was opened in the home folder of a node. The open sets it. */
  signing: Signing | undefined
  #writing: { appender: Appender; seat: Seat } | undefined
  /** The meta row that the next append writes, if the ledger is being raised to this version's format. */
  #raised: Meta | undefined
  /** The head after everything that was sent. */
  #tail: Pick<StoredHead, 'root' | 'size'>
  /** The appends that were sent and are not answered, and the last of them. */
  #unanswered = 0
  #last: Promise<unknown> = Promise.resolve()
  #following: Promise<void> | undefined
  #isClosed = false

  constructor(parts: PostgresParts) {
    const { clock, database, known, ledgerId, meta } = parts
    super({ ledgerId, query: database.query }, known)
    this.clock = clock
    this.parts = parts
    this.#tail = known.head
    this.meta = meta
    const { pairs } = this
    const scan = pairs.scan.bind(pairs)
    this.objects = new Objects({
      fetched: (digests, notes = []) => pairs.fetched(notes.map(noteKey), digests),
      scan,
      write: async (batch) => {
        await this.#change({ batch })
        this.counts.batches += 1
        this.counts.puts += batch.puts.length
      },
    })
    const generation = () => this.head().generation
    this.index = new IndexRows({ generation, scan, write: (batch) => this.#change({ batch }) })
  }

  /** The seat under which this log writes; undefined while it only follows. */
  get custody(): Seat | undefined {
    return this.#writing?.seat
  }

  /** Begins to write under a seat that this node has taken. Errors: those of the database, LEDGER_FORKED. */
  async write(seat: Seat): Promise<void> {
    const { clock, database, ledgerId, recoverMillisMax = databaseLimits.recoverMillis } = this.parts
    clock.seat = seat
    const session = await database.pipelined()
    const reconnected = (again: Session) => assertSeat(again, ledgerId, seat)
    this.#writing = { appender: new Appender(session, { database, reconnected, recoverMillisMax }), seat }
    await this.follow()
  }

  /** Cost: one round trip. */
  async append(
    expected: Pick<StoredHead, 'epoch' | 'size'>,
    recorded: readonly Recorded[],
    writes: readonly (ErasedWrite | ViewWrite)[],
    cursors: Cursors,
  ): Promise<Appended> {
    const { appender, seat } = this.#writer()
    const { epoch } = seat
    const { ledgerId, node } = this.parts
    const [before, raised] = [this.#tail, this.#raised]
    if (expected.size !== before.size || (expected.epoch ?? epoch) !== epoch) return this.#moved(seat)
    const { head, tree } = this.known
    const on = { before, cursors, epoch, head, ledgerId, meta: this.meta, node, raised, recorded, tree, writes }
    const { after, grown, puts, statement } = preparedAppend(on)
    this.#tail = after

    const sentAt = performance.now()
    this.#unanswered += 1
    const sent = appender.send(statement, (session) => hasLanded(session, { epoch, ledgerId, seq: before.size }))
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
    this.counts.puts += puts
    this.signing?.keeper.touch()
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
    await keepCursors(this.parts, cursors)
    this.known = { ...this.known, head: { ...this.known.head, cursors } }
  }

  /** What an erased value leaves is removed by the server: by its vacuum, and as it recycles its write-ahead log. */
  async purge(): Promise<boolean> {
    return true
  }

  headFile() {
    return this.signing?.headFile()
  }

  async sign(size: number): Promise<SignedHead> {
    return this.#signs().heads.sign(size)
  }

  async keepHead(): Promise<boolean> {
    return this.#signs().heads.keep()
  }

  /** Gives the ledger another identity. Its next entry must record this. It keeps the secret of its digests. */
  async rename(identity: Omit<Meta, 'digest_key'>): Promise<void> {
    this.meta = await renamedTo(identity, this.meta, (batch) => this.#change({ batch }))
  }

  raise(): void {
    this.#raised = { digest_key: newDigestKey(), ...this.meta, format: formatVersion }
  }

  snapshot(): Promise<PostgresSnapshot> {
    return PostgresSnapshot.of(this.parts)
  }

  copy(): Promise<PostgresCopy> {
    return PostgresCopy.of(this.parts, {
      headFile: this.headFile(),
      meta: this.meta,
      sign: (size, compare) => this.#signs().signFor(size, compare, this.#isClosed ? undefined : this),
    })
  }

  /** Gives the seat back, so that another node can take it at once. */
  async close(): Promise<void> {
    this.#isClosed = true
    try {
      await this.#answered().catch(() => {})
      await this.signing?.keeper.close()
    } finally {
      try {
        await this.#writing?.seat.giveBack()
      } finally {
        await this.#writing?.appender.close()
        await this.parts.database.close()
      }
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
    if (this.signing === undefined) throw new LockstepError('INVARIANT_VIOLATED', 'this log was not opened to sign')
    return this.signing
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
    if (await isNewest(this.ground, before.head)) return
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
}
