import { formatSubmission } from '../../src/merkle/add-checkpoint.ts'
import { formatCheckpoint, signCheckpoint } from '../../src/merkle/checkpoint.ts'
import { consistencyProof } from '../../src/merkle/proofs.ts'
import { emptyTree, growTree, readerOf, rootAt, type TileReader } from '../../src/merkle/tiles.ts'
import { sha256 } from '../merkle/model.ts'
import { newKey, type TestKey } from '../support/witness-keys.ts'

/** A log of a test: leaves by their texts, and its signed checkpoints and proofs at any size. */
export class LogOfLeaves {
  readonly key: TestKey
  readonly origin: string
  readonly reader: TileReader

  /** Two logs with one key and leaves that differ from some seq on are a fork. */
  constructor(leaves: readonly string[], { key, origin }: { key?: TestKey; origin: string }) {
    this.origin = origin
    this.key = key ?? newKey(origin)
    const stored = new Map<string, Uint8Array>()
    const reader = { tile: (level: number, index: number) => stored.get(`${level}/${index}`) }
    const hashes = leaves.map((leaf) => sha256(Buffer.from(`\0${leaf}`)))
    const { tiles, tree } = growTree(emptyTree, hashes, reader, sha256)
    for (const tile of tiles) stored.set(`${tile.level}/${tile.index}`, tile.hashes)
    this.reader = readerOf(tree, reader)
  }

  root(size: number): Uint8Array {
    return rootAt(size, this.reader, sha256)
  }

  text(size: number): string {
    return formatCheckpoint({ origin: this.origin, size, root: this.root(size) })
  }

  checkpoint(size: number): Promise<string> {
    return signCheckpoint({ origin: this.origin, size, root: this.root(size) }, [this.key.note])
  }

  proof(from: number, to: number): Uint8Array[] {
    return consistencyProof(from, to, this.reader, sha256)
  }

  /** The body of a request to a witness. */
  async submission(old: number, size: number): Promise<string> {
    return formatSubmission({ old, proof: this.proof(old, size), checkpoint: await this.checkpoint(size) })
  }
}

/** Leaves of a log: `common` of them, and then others of this branch. */
export function leavesOf(branch: string, common: number, total: number): string[] {
  return Array.from({ length: total }, (_, seq) => (seq < common ? `leaf ${seq}` : `${branch} ${seq}`))
}
