import { concatBytes, hashBytes } from '../../merkle/hash.ts'
import { corrupt } from '../corrupt.ts'
import type { Query } from './seat.ts'

/** A stored tile. The last tile of level 0 is stored once it is full. Errors: LEDGER_CORRUPT. */
export async function tileAt(
  query: Query,
  ledgerId: string,
  { index, level }: { index: number; level: number },
): Promise<Uint8Array | undefined> {
  const rows = await query<[first: number, hashes: Buffer]>(
    'SELECT first, hashes FROM lockstep.tile WHERE ledger_id = $1 AND level = $2 AND index = $3 ORDER BY first',
    [ledgerId, level, index],
  )
  if (rows.length === 0) return undefined
  return wholeTile(
    rows.map(([first]) => first),
    rows.map(([, hashes]) => hashes),
  )
}

/** The stored tiles of level 0 in a range, both ends included, by index. */
export async function leafTiles(
  query: Query,
  ledgerId: string,
  { first, last }: { first: number; last: number },
): Promise<Map<number, Uint8Array>> {
  const rows = await query<[index: number, hashes: Buffer]>(
    'SELECT index::float8, hashes FROM lockstep.tile WHERE ledger_id = $1 AND level = 0 AND index BETWEEN $2 AND $3',
    [ledgerId, first, last],
  )
  return new Map(rows)
}

/** A tile of all its pieces. Errors: LEDGER_CORRUPT if one is missing. */
export function wholeTile(firsts: readonly number[], pieces: readonly Uint8Array[]): Uint8Array {
  let width = 0
  pieces.forEach((piece, at) => {
    if (firsts[at] !== width) throw corrupt('a piece of a tile is missing', { check: 'tiles' })
    width += piece.length / hashBytes
  })
  return concatBytes(...pieces)
}
