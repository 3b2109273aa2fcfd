import type { HeldText } from '../../merkle/commitment.ts'
import { hashBytes, sameBytes } from '../../merkle/hash.ts'
import { tileWidth } from '../../merkle/tiles.ts'
import { corruptAt } from '../corrupt.ts'
import { commitmentTo, type StoredEntry } from '../free-texts.ts'
import { leafHashOfText } from '../leaf.ts'
import type { Query } from './seat.ts'

/** An entry as it is stored, and its leaf hash if its tile is full. */
type Found = [seq: number, line: string, texts: string | null, leaf: Buffer | null]

// The server splits the batches, so that one entry of a large batch costs one line.
const foundSql = `SELECT w.seq::float8, split_part(b.lines, chr(10), (w.seq - b.seq + 1)::int) AS line,
       split_part(t.texts, chr(10), (w.seq - b.seq + 1)::int) AS texts,
       substring(l.hashes FROM ((w.seq % ${tileWidth}) * ${hashBytes} + 1)::int FOR ${hashBytes}) AS leaf
  FROM unnest($2::bigint[]) AS w (seq)
 CROSS JOIN LATERAL (SELECT seq, count, lines FROM lockstep.batch
                      WHERE ledger_id = $1 AND seq <= w.seq ORDER BY seq DESC LIMIT 1) AS b
  LEFT JOIN lockstep.text t ON t.ledger_id = $1 AND t.seq = b.seq
  LEFT JOIN lockstep.tile l ON l.ledger_id = $1 AND l.level = 0 AND l.index = w.seq / ${tileWidth}
 WHERE w.seq < b.seq + b.count`

/**
 * Entries by their seqs, each compared with its leaf hash. `partial` has the leaf hashes of the last tile, which is not
 * stored before it is full. Errors: LEDGER_CORRUPT. Cost: one round trip.
 */
export async function entriesAt(
  query: Query,
  ledgerId: string,
  seqs: readonly number[],
  partial: Uint8Array,
): Promise<Map<number, StoredEntry>> {
  const rows = await query<Found>(foundSql, [ledgerId, seqs])
  return new Map(
    rows.map(([seq, line, texts, leaf]) => {
      assertLeaf(seq, line, leaf ?? leafIn(partial, seq))
      return [seq, { text: line, ...heldTexts(seq, texts ?? undefined) }]
    }),
  )
}

/** The leaf hash of an entry in the bytes of its tile. */
export function leafIn(tile: Uint8Array | undefined, seq: number): Uint8Array | undefined {
  const at = (seq % tileWidth) * hashBytes
  return tile?.subarray(at, at + hashBytes)
}

/** LEDGER_CORRUPT unless a line is the one that was hashed when it was appended. */
export function assertLeaf(seq: number, line: string, leaf: Uint8Array | undefined): void {
  if (leaf !== undefined && sameBytes(leafHashOfText(line), leaf)) return
  throw corruptAt(seq, `entry ${seq} does not match the hash from when it was appended`)
}

/** The free texts of an entry, in a line of JSON. Errors: LEDGER_CORRUPT if one is not what the entry commits to. */
export function heldTexts(seq: number, line: string | undefined): Pick<StoredEntry, 'texts'> {
  if (line === undefined || line === '') return {}
  const texts = parsed(seq, line) as HeldText[]
  // Other bytes could hide a text that no reader sees and no erasure finds.
  if (!Array.isArray(texts) || JSON.stringify(texts) !== line) throw damaged(seq)
  return { texts }
}

/** Errors: LEDGER_CORRUPT if a text is not the one that the line commits to. */
export function assertTexts(seq: number, { text, texts = [] }: StoredEntry): void {
  for (const held of texts) {
    if ('text' in held && !text.includes(`{"commitment":"${commitmentTo(held)}"}`)) throw damaged(seq)
  }
}

function parsed(seq: number, line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw damaged(seq)
  }
}

const damaged = (seq: number) => corruptAt(seq, `the free texts of entry ${seq} are not as they were written`)
