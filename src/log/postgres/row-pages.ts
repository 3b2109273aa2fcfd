import type { Range } from '../keyed/store.ts'
import type { Query } from './seat.ts'

type Pair = [key: Uint8Array, value: Uint8Array]

const pagePairs = 2_048
/** A generation is one byte of a key. */
const generationMax = 255
/** The kinds of rows that belong to a generation: receipts, streams, sovereign state and the index. */
const kindsOfGenerations = new Set([...Buffer.from('irsx')])

/** The generation of a row with this key; notes and the identity have none. */
export function generationOf(key: Uint8Array): number {
  return kindsOfGenerations.has(key[0] ?? 0) ? (key[1] ?? 0) : 0
}

/** Pages of rows of one kind, in the order of their keys: the generation follows the kind. A negative limit means none. */
export async function* rowPages(
  query: Query,
  ledgerId: string,
  { gte, limit, lt, reverse }: Required<Range>,
): AsyncGenerator<Pair[]> {
  const generations = await generationsIn(query, ledgerId, gte, lt)
  let left = limit
  for (const generation of reverse ? generations.toReversed() : generations) {
    let [from, to] = [gte, lt]
    while (left > 0) {
      const count = Math.min(left, pagePairs)
      const rows = await query<[key: Buffer, value: Buffer]>(
        `SELECT key, value FROM lockstep.row WHERE ledger_id = $1 AND gen = $2 AND key >= $3 AND key < $4
          ORDER BY key ${reverse ? 'DESC' : ''} LIMIT $5`,
        [ledgerId, generation, from, to, count],
      )
      if (rows.length > 0) yield rows
      left -= rows.length
      const last = rows.at(-1)
      if (last === undefined || rows.length < count) break
      if (reverse) to = last[0]
      else from = Buffer.concat([last[0], Buffer.of(0)])
    }
  }
}

async function generationsIn(query: Query, ledgerId: string, gte: Uint8Array, lt: Uint8Array): Promise<number[]> {
  const [kind = 0, first = 0] = gte
  if (!kindsOfGenerations.has(kind)) return [0]
  const last = lt[0] === kind ? (lt[1] ?? 0) : generationMax
  if (first === last) return [first]
  const rows = await query<[gen: number]>(
    'SELECT DISTINCT gen FROM lockstep.row WHERE ledger_id = $1 AND gen BETWEEN $2 AND $3 ORDER BY gen',
    [ledgerId, first, last],
  )
  return rows.map(([gen]) => gen)
}
