import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { nanoid } from 'nanoid'
import { fileError, makeFolder, writeDurably } from '../../disk/durable.ts'
import { adopt } from '../../disk/ownership.ts'
import { dropProcessFolders, processFolderName } from '../../disk/process-folder.ts'
import { readRegularFile, readTextFile } from '../../disk/regular-file.ts'
import { LockstepError } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'
import { hashBytes } from '../../merkle/hash.ts'
import { type TileName, tilePath, tileWidth } from '../../merkle/tiles.ts'

const ownPrefix = '.lockstep-tiles-'

/**
 * A folder with a checkpoint and the tiles under it, for any web server. Every file is durable once it has its name, and
 * every reader finds either all of a file or nothing. While a process writes, a folder that names the process is beside
 * the files. It has the temporary files, and it keeps a second export away.
 */
export class TilesFolder {
  readonly dir: string
  readonly #own: string
  /** Folders of partial tiles that became full. */
  readonly #outgrown: string[] = []

  private constructor(dir: string, own: string) {
    this.dir = dir
    this.#own = own
  }

  /** Errors: LEDGER_UNAVAILABLE (another export writes there), FILE_DENIED, FILE_FAILED, DISK_FULL. */
  static open(dir: string): TilesFolder {
    makeFolder(dir)
    dropProcessFolders(dir, ownPrefix)
    const own = join(dir, processFolderName(ownPrefix, nanoid(12)))
    try {
      mkdirSync(own, { mode: 0o700 })
      adopt(own)
    } catch (error) {
      throw fileError(error, `writing to ${dir}`)
    }
    const folder = new TilesFolder(dir, own)
    // Of two that begin at the same time, each sees the other, and both may end here.
    if (readdirSync(dir).filter((name) => name.startsWith(ownPrefix)).length > 1) {
      folder.close()
      throw new LockstepError('LEDGER_UNAVAILABLE', `another process exports tiles to ${dir}`, {
        details: { file: dir, outcome: 'not_applied' },
        hint: 'Try again when it has ended.',
      })
    }
    return folder
  }

  /** The published checkpoint; undefined before the first one. Errors: INVALID_INPUT, FILE_DENIED, FILE_FAILED. */
  checkpoint(): string | undefined {
    const path = join(this.dir, 'checkpoint')
    return readTextFile(path, limits.documentBytes, (is) => new LockstepError('INVALID_INPUT', `${path} ${is}`))
  }

  /** A tile of hashes. A full tile also has the hashes of its partial ones. Undefined if it is missing or too short. */
  hashes({ index, level, width }: TileName): Uint8Array | undefined {
    for (const path of new Set([tilePath(level, index, width), tilePath(level, index)])) {
      const read = readRegularFile(join(this.dir, path), tileWidth * hashBytes)
      if (read !== undefined && 'bytes' in read && read.bytes.length >= width * hashBytes)
        return read.bytes.subarray(0, width * hashBytes)
    }
    return undefined
  }

  has({ index, level, width }: TileName): boolean {
    return [tilePath(level, index, width), tilePath(level, index)].some((path) => existsSync(join(this.dir, path)))
  }

  /** Writes a tile durably. Errors: DISK_FULL, FILE_DENIED, FILE_FAILED. */
  async write({ index, level, width }: TileName, bytes: Uint8Array): Promise<void> {
    const path = tilePath(level, index, width)
    await this.#write(path, bytes)
    const partial = join(this.dir, `${path}.p`)
    if (width === tileWidth && existsSync(partial)) this.#outgrown.push(partial)
  }

  /**
   * Publishes the checkpoint over the tiles that were written. Partial tiles that became full go first, so that a crash
   * leaves none behind; a reader that misses one takes the full tile (C2SP tlog-tiles).
   */
  async publish(checkpoint: string): Promise<void> {
    for (const folder of this.#outgrown) rmSync(folder, { recursive: true, force: true })
    if (this.checkpoint() !== checkpoint) await this.#write('checkpoint', checkpoint)
  }

  /** Lets the next export in. */
  close(): void {
    rmSync(this.#own, { recursive: true, force: true })
  }

  async #write(path: string, content: string | Uint8Array): Promise<void> {
    const file = join(this.dir, path)
    makeFolder(dirname(file))
    await writeDurably(file, content, 0o644, join(this.#own, 'file'))
  }
}
