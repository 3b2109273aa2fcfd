import type { Tiles } from '../../api/api.ts'
import { LockstepError } from '../../errors.ts'
import { sha256 } from '../../log/sha256.ts'
import { type Checkpoint, parseCheckpoint } from '../../merkle/checkpoint.ts'
import { rootOf } from '../../merkle/frontier.ts'
import { concatBytes, hashBytes, leafHash, sameBytes, toHex } from '../../merkle/hash.ts'
import { parseSignedNote } from '../../merkle/note.ts'
import { frontierAt, growTree, rootAt, type TileReader, type Tree, tileWidth } from '../../merkle/tiles.ts'
import { TilesFolder } from './tiles-folder.ts'

/** How tiles are exported. */
export interface ExportTilesOptions {
  dir: string
  /** Whether the entries are exported too, and not only their hashes. */
  entries?: boolean | undefined
  /** Called with the number of entries that are done. */
  onProgress?: ((done: number, total: number) => void) | undefined
}

/** The tiles that an export wrote, and the tree head that it published. */
export interface ExportedTiles {
  bundles: number
  checkpoint: string
  dir: string
  origin: string
  /** The size of the checkpoint that was there before. */
  previous_size: number | null
  root: string
  size: number
  tiles: number
}

/**
 * Brings a folder of tiles up to the current tree head. The new tiles are computed from the leaf hashes and must give
 * the root of the checkpoint, and each entry must have its leaf hash. The checkpoint is published last, so a crash
 * leaves the folder as it was for its readers, and the next export writes what is missing.
 * Errors: INVALID_INPUT (the folder belongs to another ledger), VERIFY_FAILED (the log does not extend the folder's
 * checkpoint, or the folder is damaged), those of `Tiles` and `TilesFolder`.
 * Cost: one read and one durable write for each new tile. With entries also for each bundle that is missing.
 */
export async function exportTiles(source: Tiles, options: ExportTilesOptions): Promise<ExportedTiles> {
  const folder = TilesFolder.open(options.dir)
  try {
    const checkpoint = await source.checkpoint()
    const head = headIn(checkpoint, 'the checkpoint of the ledger')
    const kept = folder.checkpoint()
    const before = kept === undefined ? undefined : headIn(kept, `the checkpoint in ${folder.dir}`)
    if (before !== undefined) await demandExtends(head, before, source, folder)
    const written = await writeTiles(source, folder, { ...options, before, head })
    await folder.publish(checkpoint)
    return {
      ...written,
      checkpoint,
      dir: folder.dir,
      origin: head.origin,
      previous_size: before?.size ?? null,
      root: toHex(head.root),
      size: head.size,
    }
  } finally {
    folder.close()
  }
}

/** Errors: INVALID_INPUT. */
function headIn(note: string, what: string): Checkpoint {
  const parsed = parseSignedNote(note)
  const head = parsed.ok ? parseCheckpoint(parsed.value.text) : parsed
  if (head.ok) return head.value
  throw new LockstepError('INVALID_INPUT', `${what} is not valid: ${head.reason}`)
}

/**
 * The last tile of each level decides the root at a size. So if the log has the same last tiles at the size of the
 * folder's checkpoint, and they give its root, the log extends it. Errors: INVALID_INPUT, VERIFY_FAILED.
 */
async function demandExtends(head: Checkpoint, before: Checkpoint, source: Tiles, folder: TilesFolder): Promise<void> {
  const { dir } = folder
  const details = { file: dir, size: before.size, root: toHex(before.root) }
  if (before.origin !== head.origin) {
    throw new LockstepError('INVALID_INPUT', `${dir} has the tiles of ${before.origin}, not of ${head.origin}`, {
      details,
    })
  }
  const own = readerOf(folder, before.size)
  if (!sameBytes(rootIn(own, before.size) ?? new Uint8Array(), before.root)) {
    throw new LockstepError('VERIFY_FAILED', `the tiles in ${dir} do not have the root of the checkpoint beside them`, {
      details,
      hint: 'Export to a new folder.',
    })
  }
  if (before.size <= head.size && (await hasLastTiles(source, own, before.size))) return
  throw new LockstepError(
    'VERIFY_FAILED',
    `the ledger does not extend the checkpoint of size ${before.size} in ${dir}`,
    {
      details,
      hint: 'Keep this folder: it proves that the history of the ledger was changed, or that an older copy is in use.',
    },
  )
}

async function hasLastTiles(source: Tiles, own: TileReader, size: number): Promise<boolean> {
  for (let [level, nodes] = [0, size]; nodes > 0; level += 1, nodes = Math.floor(nodes / tileWidth)) {
    const [index, width] = [Math.floor(nodes / tileWidth), nodes % tileWidth]
    if (width === 0) continue
    if (!sameBytes(await source.tile({ level, index, width }), own.tile(level, index) ?? new Uint8Array())) return false
  }
  return true
}

function rootIn(reader: TileReader, size: number): Uint8Array | undefined {
  try {
    return rootAt(size, reader, sha256)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** The tiles of a folder under its checkpoint. */
function readerOf(folder: TilesFolder, size: number): TileReader {
  return {
    tile: (level, index) => {
      const width = Math.min(tileWidth, Math.floor(size / tileWidth ** level) - index * tileWidth)
      return width > 0 ? folder.hashes({ level, index, width }) : undefined
    },
  }
}

interface Growth extends Omit<ExportTilesOptions, 'dir'> {
  before: Checkpoint | undefined
  head: Checkpoint
}

async function writeTiles(
  source: Tiles,
  folder: TilesFolder,
  { before, entries = false, head, onProgress }: Growth,
): Promise<{ bundles: number; tiles: number }> {
  const from = before?.size ?? 0
  const own = readerOf(folder, from)
  const growing = new GrowingTiles(folder, own, from)
  const firstNew = Math.floor(from / tileWidth)
  const firstBundle = entries ? firstMissingBundle(folder, from, head.size) : Number.POSITIVE_INFINITY
  let bundles = 0
  for (let index = Math.min(firstBundle, firstNew); index * tileWidth < head.size; index += 1) {
    const width = Math.min(tileWidth, head.size - index * tileWidth)
    const known = index < firstNew ? own.tile(0, index) : undefined
    const hashes = hashesIn(known ?? (await source.tile({ level: 0, index, width })))
    if (index >= firstBundle) {
      const name = { level: 'entries', index, width } as const
      await folder.write(name, checkedBundle(await source.tile(name), hashes, index * tileWidth))
      bundles += 1
    }
    if (index >= firstNew) await growing.append(hashes.slice(Math.max(0, from - index * tileWidth)))
    onProgress?.(index * tileWidth + width, head.size)
  }
  if (!sameBytes(growing.root(), head.root)) {
    throw new LockstepError('VERIFY_FAILED', `the tiles of the ledger do not give the root of its checkpoint`, {
      details: { size: head.size, root: toHex(head.root) },
    })
  }
  return { bundles, tiles: await growing.end() }
}

/** Bundles below the size of the folder's checkpoint are whole if they are there, because an export checked them. */
function firstMissingBundle(folder: TilesFolder, from: number, size: number): number {
  for (let index = 0; ; index += 1) {
    const width = Math.min(tileWidth, size - index * tileWidth)
    if (index * tileWidth + width > from || !folder.has({ level: 'entries', index, width })) return index
  }
}

/** The tiles of a tree that grows. A tile is written when it is full; the last one of each level is written at the end. */
class GrowingTiles {
  readonly #folder: TilesFolder
  readonly #own: TileReader
  readonly #partial = new Map<string, { level: number; index: number; hashes: Uint8Array }>()
  readonly #from: number
  #tree: Tree
  #written = 0

  constructor(folder: TilesFolder, own: TileReader, size: number) {
    this.#folder = folder
    this.#own = own
    this.#from = size
    const last = own.tile(0, Math.floor(size / tileWidth)) ?? new Uint8Array()
    this.#tree = { frontier: frontierAt(size, own, sha256), partial: hashesIn(last) }
  }

  async append(hashes: readonly Uint8Array[]): Promise<void> {
    const stored: TileReader = {
      tile: (level, index) => this.#partial.get(`${level}/${index}`)?.hashes ?? this.#own.tile(level, index),
    }
    const { tiles, tree } = growTree(this.#tree, hashes, stored, sha256)
    this.#tree = tree
    for (const tile of tiles) {
      const name = `${tile.level}/${tile.index}`
      if (tile.hashes.length < tileWidth * hashBytes) this.#partial.set(name, tile)
      else {
        this.#partial.delete(name)
        await this.#write(tile)
      }
    }
  }

  root(): Uint8Array {
    return rootOf(this.#tree.frontier, sha256)
  }

  /** Writes the last tile of each level, and answers with the number of all tiles that were written. */
  async end(): Promise<number> {
    const { frontier, partial } = this.#tree
    for (const tile of this.#partial.values()) await this.#write(tile)
    if (partial.length > 0 && frontier.size > this.#from) {
      const index = Math.floor(frontier.size / tileWidth)
      await this.#write({ level: 0, index, hashes: concatBytes(...partial) })
    }
    return this.#written
  }

  async #write({ hashes, index, level }: { level: number; index: number; hashes: Uint8Array }): Promise<void> {
    await this.#folder.write({ level, index, width: hashes.length / hashBytes }, hashes)
    this.#written += 1
  }
}

function hashesIn(tile: Uint8Array): Uint8Array[] {
  return Array.from({ length: tile.length / hashBytes }, (_, at) => tile.subarray(at * hashBytes, (at + 1) * hashBytes))
}

/** A bundle, once each of its entries has its leaf hash. Errors: VERIFY_FAILED. */
function checkedBundle(bundle: Uint8Array, hashes: readonly Uint8Array[], from: number): Uint8Array {
  let at = 0
  for (const [index, expected] of hashes.entries()) {
    const length = ((bundle[at] ?? 0) << 8) | (bundle[at + 1] ?? 0)
    const entry = bundle.subarray(at + 2, at + 2 + length)
    if (!sameBytes(leafHash(entry, sha256), expected)) {
      throw new LockstepError('VERIFY_FAILED', `entry ${from + index} does not have the leaf hash of its tile`, {
        details: { seq: from + index },
      })
    }
    at += 2 + length
  }
  if (at === bundle.length) return bundle
  throw new LockstepError('VERIFY_FAILED', `the bundle of the entries from ${from} has more than its entries`)
}
