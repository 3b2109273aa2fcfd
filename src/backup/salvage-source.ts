import { objectsOf } from '../domain/aggregates.ts'
import { messageOf } from '../errors.ts'
import { given } from '../kernel/given.ts'
import { entryWithTexts } from '../log/free-texts.ts'
import { erasedAt, objectIn } from '../log/keyed/objects.ts'
import { decodeStored, entryOfText, unsealIfThere } from '../log/keyed/rows/codec.ts'
import * as keys from '../log/keyed/rows/keys.ts'
import { readMeta } from '../log/keyed/rows/meta-row.ts'
import type { Store } from '../log/keyed/store.ts'
import { leafHashOfText } from '../log/leaf.ts'
import type { Meta } from '../log/log.ts'
import { hashBytes, sameBytes } from '../merkle/hash.ts'
import { tileWidth } from '../merkle/tiles.ts'
import type { Readable } from './readable.ts'

/** Reads of a damaged store. What cannot be read, or does not match its checksum or its hash, is undefined. */
export class Source {
  readonly #store: Store
  #tile: { index: number; hashes: Uint8Array | undefined } | undefined

  constructor(store: Store) {
    this.#store = store
  }

  /** One more than the highest seq of any entry. A damaged table may hide the last ones. */
  async end(): Promise<number> {
    let end = 0
    try {
      for await (const page of this.#store.scan(keys.ranges.entries(0, 2 ** 48 - 1))) {
        const last = page.at(-1)
        if (last !== undefined && keys.kindOf(last[0]) === 'entry') end = keys.seqOfEntryKey(last[0]) + 1
      }
    } catch {
      // The entries behind a place that cannot be scanned are not found.
    }
    return end
  }

  /** The secret of the digests in the entries. Without it, a repeated request cannot be recognised. */
  digestKey(): Pick<Meta, 'digest_key'> {
    try {
      const { digest_key } = readMeta(this.#store)
      return given({ digest_key })
    } catch {
      return {}
    }
  }

  /** The entry at a seq with the objects that it names. `problem` says why the entry is missing. */
  read(seq: number): Readable | { problem: string } {
    try {
      const key = keys.entryKey(seq)
      const value = this.#store.get(key)
      if (value === undefined) return { problem: 'it is missing' }
      const stored = decodeStored(key, value)
      const { text } = stored
      const entry = entryWithTexts(entryOfText(key, text), stored)
      if (entry.seq !== seq) return { problem: `it says that its seq is ${entry.seq}` }
      const hash = this.#hash(seq)
      if (hash !== undefined && !sameBytes(hash, leafHashOfText(text))) return { problem: 'it does not match its hash' }
      const held = (digest: string) => erasedAt(this.#store, digest) ?? objectIn(this.#store, digest)
      const named = [...objectsOf(entry, (digest) => objectIn(this.#store, digest))]
      return { entry, objects: named.map(({ digest }) => [digest, held(digest)] as const), ...stored }
    } catch (error) {
      return { problem: messageOf(error) }
    }
  }

  /** The leaf hash of an entry, if its tile is stored and readable. */
  #hash(seq: number): Uint8Array | undefined {
    const index = Math.floor(seq / tileWidth)
    if (this.#tile?.index !== index) this.#tile = { index, hashes: this.#tileAt(index) }
    const at = (seq % tileWidth) * hashBytes
    const hash = this.#tile.hashes?.subarray(at, at + hashBytes)
    return hash?.length === hashBytes ? hash : undefined
  }

  #tileAt(index: number): Uint8Array | undefined {
    try {
      const key = keys.tileKey(0, index)
      return unsealIfThere(key, this.#store.get(key))
    } catch {
      return undefined
    }
  }
}
