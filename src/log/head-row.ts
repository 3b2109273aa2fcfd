import { type Frontier, frontierFrom, rootOf } from '../merkle/frontier.ts'
import { hashBytes, sameBytes } from '../merkle/hash.ts'
import { decode, encode } from './codec.ts'
import { corrupt } from './corrupt.ts'
import { headKey } from './keys.ts'
import { sha256 } from './sha256.ts'
import type { StoreBatch, StoreReader } from './store.ts'

/** How far each reactor has come, by its name. */
export type Cursors = Record<string, number>

/** Number of entries, their root, which generation of the views is in force, and the reactors' cursors. */
export interface Head {
  cursors: Cursors
  generation: number
  root: Uint8Array
  size: number
}

/** The row that every batch writes: the head, and the frontier to append to. */
interface StoredHead extends Head {
  frontier: Uint8Array
}

/** Adds the head row to a batch. */
export function putHead(batch: StoreBatch, head: Head, frontier: Frontier): void {
  const stored: StoredHead = { ...head, frontier: Buffer.concat(frontier.hashes) }
  batch.puts.push({ key: headKey, value: encode(headKey, stored) })
}

/** The head row, checked against itself: its frontier has its size and gives its root. Errors: LEDGER_CORRUPT. */
export function readHead(reader: StoreReader): { head: Head; frontier: Frontier } {
  const value = reader.get(headKey)
  if (value === undefined) throw corrupt('the head row is missing', { check: 'head' })
  const { frontier: bytes, ...head } = decode<StoredHead>(headKey, value)
  const frontier = parseFrontier(head.size, bytes)
  if (!sameBytes(rootOf(frontier, sha256), head.root)) {
    throw corrupt('the head row’s root is not that of its frontier', { check: 'head' })
  }
  return { head, frontier }
}

function parseFrontier(size: number, bytes: Uint8Array): Frontier {
  const hashes: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += hashBytes) hashes.push(bytes.slice(at, at + hashBytes))
  try {
    return frontierFrom(size, hashes)
  } catch (cause) {
    throw corrupt('the head row’s frontier does not fit its size', { check: 'head' }, cause)
  }
}
