import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { equal, is, ok } from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { tilePath } from '../../src/merkle/tiles.ts'
import { hexOf, rangeRootOf, sha256 } from '../merkle/model.ts'

/** Appends so many entries, in requests of up to 1,000. */
export async function appendEvents(ledger: LocalLedger, count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1_000) {
    const events = Array.from({ length: Math.min(left, 1_000) }, (_, at) => ({
      action_type: 'system' as const,
      outcome: 'success' as const,
      target: { name: `tool:number-${at}`, target_type: 'tool' as const },
    }))
    await ledger.audit.append({ events })
  }
}

/** The bytes at a path below a folder of tiles or a URL; undefined if there is nothing. */
export type ReadTile = (path: string) => Promise<Uint8Array | undefined>

/** Reads from an exported folder. */
export const tilesIn =
  (dir: string): ReadTile =>
  async (path) => {
    try {
      return readFileSync(join(dir, path))
    } catch {
      return undefined
    }
  }

/** A partial tile, or the full one that replaced it, as C2SP tlog-tiles has its readers do. */
async function tileOf(read: ReadTile, level: number | 'entries', index: number, width: number): Promise<Uint8Array> {
  const found = (await read(tilePath(level, index, width))) ?? (await read(tilePath(level, index)))
  if (found === undefined) throw new Error(`${tilePath(level, index, width)} is missing`)
  return found
}

/**
 * Reads the whole log by its tiles and checks it against the checkpoint by RFC 6962 alone: every tile of every level,
 * and each entry if there are bundles. Answers with the size.
 */
export async function checkTiles(read: ReadTile, { entries = false } = {}): Promise<number> {
  const [, sizeText, root] = Buffer.from((await read('checkpoint')) ?? [])
    .toString()
    .split('\n')
  const size = Number(sizeText)
  const leaves: Uint8Array[] = []
  for (let index = 0; index * 256 < size; index += 1) {
    const width = Math.min(256, size - index * 256)
    const tile = await tileOf(read, 0, index, width)
    for (let at = 0; at < width; at += 1) leaves.push(tile.slice(at * 32, (at + 1) * 32))
    if (!entries) continue
    const bundle = Buffer.from(await tileOf(read, 'entries', index, width))
    let at = 0
    for (let entry = 0; entry < width; entry += 1) {
      const length = bundle.readUInt16BE(at)
      const text = bundle.subarray(at + 2, at + 2 + length)
      is(JSON.parse(text.toString()).seq, index * 256 + entry)
      is(hexOf(sha256(Buffer.concat([Buffer.of(0), text]))), hexOf(leaves[index * 256 + entry] ?? Buffer.of()))
      at += 2 + length
    }
    ok(at <= bundle.length)
  }
  const rootOf = rangeRootOf(leaves)
  is(Buffer.from(rootOf(0, size)).toString('base64'), root)
  for (let level = 1, span = 256; span <= size; level += 1, span *= 256) {
    const nodes = Math.floor(size / span)
    for (let node = 0; node < nodes; node += 1) {
      const tile = await tileOf(
        read,
        level,
        Math.floor(node / 256),
        Math.min(256, nodes - Math.floor(node / 256) * 256),
      )
      is(hexOf(tile.slice((node % 256) * 32, ((node % 256) + 1) * 32)), hexOf(rootOf(node * span, (node + 1) * span)))
    }
  }
  return size
}

/** Every file below a folder with its content, in the order of the names. */
function filesBelow(dir: string): [string, string][] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => [path.slice(dir.length + 1), readFileSync(path, 'base64')])
}

/** Whether two folders have the same files. */
export function sameFiles(one: string, other: string): void {
  const [left, right] = [filesBelow(one), filesBelow(other)]
  equal(
    left.map(([path]) => path),
    right.map(([path]) => path),
  )
  equal(left, right)
}
