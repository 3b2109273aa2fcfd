import { limits } from '../../kernel/limits.ts'
import { type Frontier, rootOf } from '../../merkle/frontier.ts'
import { concatBytes, hashBytes } from '../../merkle/hash.ts'
import { type Tile, tileWidth } from '../../merkle/tiles.ts'
import type { ErasedWrite } from '../erased.ts'
import { putMark } from '../keyed/objects.ts'
import type { StoredHead } from '../keyed/rows/head-row.ts'
import { putMeta } from '../keyed/rows/meta-row.ts'
import type { StoreBatch } from '../keyed/store.ts'
import type { Grown, LogTree } from '../keyed/tree.ts'
import { putView } from '../keyed/view-write.ts'
import { leafHashOfText } from '../leaf.ts'
import type { Cursors, Head, Meta, Recorded, ViewWrite } from '../log.ts'
import { sha256 } from '../sha256.ts'
import { eraseTexts } from './erased-texts.ts'
import type { PostgresParts } from './parts.ts'
import { bufferOf, type Changes, type Statement, StatementBuilder } from './statement.ts'

/** What an append compares, and what it makes of the head. */
interface AppendedHead {
  before: { epoch: number; root: Uint8Array; size: number }
  after: { format: number; frontier: Frontier; root: Uint8Array; size: number }
  leaseMillis: number
}

interface Appending {
  /** The head after everything that was sent. */
  before: Pick<Head, 'root' | 'size'>
  cursors: Cursors
  head: StoredHead
  epoch: number
  ledgerId: string
  /** The identity of the ledger, and the one that is written with the entries if they change it. */
  meta: Meta
  node: string
  raised: Meta | undefined
  recorded: readonly Recorded[]
  tree: LogTree
  writes: readonly (ErasedWrite | ViewWrite)[]
}

/** An append that can be sent, and what the log is after it. */
interface Prepared {
  after: { root: Uint8Array; size: number }
  grown: Grown
  puts: number
  statement: Statement
}

/** Prepares an append on top of everything that was sent. */
export function preparedAppend(appending: Appending): Prepared {
  const { before, cursors, epoch, head, ledgerId, meta, node, raised, recorded, tree, writes } = appending
  const grown = tree.grow(recorded.map(({ text }) => leafHashOfText(text)))
  const { frontier } = grown.tree
  const after = { root: rootOf(frontier, sha256), size: frontier.size }
  const changes = changesOf(appending, grown)
  if (JSON.stringify(cursors) !== JSON.stringify(head.cursors)) changes.cursors = { cursors, node }
  const { format } = raised ?? meta
  const compared = { before: { ...before, epoch }, after: { ...after, format, frontier } }
  const erased = writes.filter((write) => write.view === 'texts')
  const leaseMillis = limits.seatMillis.lease
  const statement = appendOf(ledgerId, { ...compared, leaseMillis }, { ...changes, erased })
  return { after, grown, puts: changes.batch.puts.length, statement }
}

/** What an append writes beside the head and the cursors. */
function changesOf({ head, raised, recorded, writes }: Appending, grown: Grown): Changes {
  const batch: StoreBatch = { puts: [], deletes: [] }
  const marked: string[] = []
  for (const write of writes) {
    if (write.view === 'erased') {
      // The other pieces are deleted by the digest, so it need not be known how many there are.
      putMark(batch, { get: () => undefined }, { digest: write.key, seq: write.value })
      marked.push(write.key)
    } else if (write.view !== 'texts') putView(batch, write, head.generation)
  }
  if (raised !== undefined) putMeta(batch, raised)
  return { batch, marked, recorded, tiles: grown.tiles }
}

/**
 * The append: one statement that compares the head and writes everything, or writes nothing. Size, root and epoch are
 * compared, so neither another writer's entries nor an earlier seat can be followed by accident.
 */
function appendOf(ledgerId: string, head: AppendedHead, changes: Changes): Statement {
  const { after, before, leaseMillis } = head
  const to = new StatementBuilder(ledgerId)
  const [size, root, epoch] = [
    to.value(before.size, 'bigint'),
    to.value(before.root, 'bytea'),
    to.value(before.epoch, 'bigint'),
  ]
  const { erased = [], recorded = [], tiles = [] } = changes
  to.part(
    'h',
    `UPDATE lockstep.head SET size = ${to.value(after.size, 'bigint')}, root = ${to.value(after.root, 'bytea')},
       frontier = ${to.value(concatBytes(...after.frontier.hashes), 'bytea')}, format = ${to.value(after.format, 'int')},
       lease_until = clock_timestamp() + ${to.value(leaseMillis, 'int')} * interval '1 ms'
     WHERE ledger_id = $1 AND size = ${size} AND root = ${root} AND epoch = ${epoch} RETURNING 1`,
  )
  if (recorded.length > 0) {
    const lines = to.value(recorded.map(({ text }) => text).join('\n'), 'text')
    const count = to.value(recorded.length, 'int')
    to.part('b', `INSERT INTO lockstep.batch SELECT $1, ${size}, ${count}, ${epoch}, ${lines} FROM h`)
    if (recorded.some(({ texts }) => texts !== undefined)) {
      const texts = recorded.map((each) => (each.texts === undefined ? '' : JSON.stringify(each.texts))).join('\n')
      to.part('x', `INSERT INTO lockstep.text SELECT $1, ${size}, ${to.value(texts, 'text')} FROM h`)
    }
  }
  if (tiles.length > 0) to.part('t', tilesSql(to, tiles, before.size))
  eraseTexts(to, erased)
  return to.built(changes)
}

/** Changes of derived data, of objects or of cursors, without an entry. An earlier seat writes nothing. */
export function changeOf(ledgerId: string, epoch: number, changes: Changes): Statement {
  const to = new StatementBuilder(ledgerId)
  to.part('h', `SELECT 1 FROM lockstep.head WHERE ledger_id = $1 AND epoch = ${to.value(epoch, 'bigint')}`)
  return to.built(changes)
}

/** Each tile is added as the piece by which it grew, because what is stored of it is never changed. */
function tilesSql(to: StatementBuilder, tiles: readonly Tile[], sizeBefore: number): string {
  const pieces = tiles.map(({ hashes, index, level }) => {
    const nodes = Math.floor(sizeBefore / tileWidth ** level)
    const first = level > 0 && Math.floor(nodes / tileWidth) === index ? nodes % tileWidth : 0
    return { first, hashes: hashes.subarray(first * hashBytes), index, level }
  })
  const list = [
    to.value(
      pieces.map(({ level }) => level),
      'smallint[]',
    ),
    to.value(
      pieces.map(({ index }) => index),
      'bigint[]',
    ),
    to.value(
      pieces.map(({ first }) => first),
      'smallint[]',
    ),
    to.value(
      pieces.map(({ hashes }) => bufferOf(hashes)),
      'bytea[]',
    ),
  ]
  return `INSERT INTO lockstep.tile SELECT $1, u.* FROM h, unnest(${list.join(', ')}) AS u`
}

/** Keeps how far the files of a node follow the log. */
export async function keepCursors({ database, ledgerId, node }: PostgresParts, cursors: Cursors): Promise<void> {
  const text = `INSERT INTO lockstep.cursor VALUES ($1, $2, $3)
    ON CONFLICT (ledger_id, node) DO UPDATE SET cursors = excluded.cursors`
  await database.query(text, [ledgerId, node, JSON.stringify(cursors)])
}

/** Writes another identity of a ledger, and returns it. */
export async function renamedTo(
  identity: Omit<Meta, 'digest_key'>,
  { place: _, ...before }: Meta,
  write: (batch: StoreBatch) => Promise<void>,
): Promise<Meta> {
  const batch: StoreBatch = { puts: [], deletes: [] }
  // A place has its name for one ledger.
  const meta = { ...before, ...identity }
  putMeta(batch, meta)
  await write(batch)
  return meta
}
