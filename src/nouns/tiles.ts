import type { Tiles } from '../api/api.ts'
import type { HeadApi } from '../api/log.ts'
import { LockstepError } from '../errors.ts'
import type { StoredEntry } from '../log/free-texts.ts'
import type { Key, LogReader } from '../log/log.ts'
import { hashBytes } from '../merkle/hash.ts'
import { type TileName, tilePath, tileWidth } from '../merkle/tiles.ts'

/** The tiles of a log, as they are stored, and its entries as they are hashed. */
export class TilesOfLog implements Tiles {
  readonly #log: LogReader
  readonly #head: Pick<HeadApi, 'signed'>

  constructor(log: LogReader, head: Pick<HeadApi, 'signed'>) {
    this.#log = log
    this.#head = head
  }

  async checkpoint(): Promise<string> {
    return (await this.#head.signed()).checkpoint
  }

  /** Cost: one read of a tile, or of up to 256 entries. Errors: NOT_FOUND, LEDGER_CORRUPT. */
  async tile(name: TileName): Promise<Uint8Array> {
    const { index, level, width } = name
    const leavesOfHash = level === 'entries' ? 1 : tileWidth ** level
    const { size } = this.#log.head()
    if ((index * tileWidth + width) * leavesOfHash > size) throw notFilled(name, size)
    if (level === 'entries') return this.#bundle(index * tileWidth, width)
    const [tile] = await this.#log.load([{ view: 'tile', key: { level, index } }])
    const bytes = (tile as Uint8Array | undefined)?.subarray(0, width * hashBytes)
    if (bytes?.length === width * hashBytes) return bytes
    throw new LockstepError('LEDGER_CORRUPT', `${tilePath(level, index)} is missing or too short`)
  }

  /** Each entry as it is hashed, behind its length as a big-endian number of two bytes. */
  async #bundle(from: number, width: number): Promise<Uint8Array> {
    const keys = Array.from({ length: width }, (_, index): Key => ({ view: 'stored', key: from + index }))
    const stored = (await this.#log.load(keys)) as readonly StoredEntry[]
    const parts = stored.flatMap(({ text }) => {
      const bytes = Buffer.from(text)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(bytes.length)
      return [length, bytes]
    })
    return Buffer.concat(parts)
  }
}

function notFilled({ index, level, width }: TileName, size: number): LockstepError {
  return new LockstepError(
    'NOT_FOUND',
    `${tilePath(level, index, width)} is not filled yet: the log has ${size} entries`,
  )
}
