import type { Layout } from '../../disk/layout.ts'
import { headPlace, readHeadFile } from '../head-file.ts'
import { HeadKeeper } from '../head-keeper.ts'
import { type HeadPlace, Heads } from '../heads.ts'
import type { Log, SignedHead, TreeHeadFile } from '../log.ts'
import { signersOf } from '../signer.ts'

interface SigningParts {
  layout: Layout
  log: Log
  /** Whether this node may still write to its files. */
  isOurs: () => boolean
  /** Opens the ledger again, to sign what a copy asks for after this log was closed. */
  reopened: () => Promise<Log>
}

/** Signs the heads of a log with the key of this node, and keeps the newest one in its home folder. */
export class Signing {
  readonly heads: Heads
  readonly keeper: HeadKeeper
  readonly place: HeadPlace
  readonly #parts: SigningParts

  constructor(parts: SigningParts) {
    const { isOurs, layout, log } = parts
    this.#parts = parts
    this.place = headPlace(layout.head)
    const last = this.headFile()
    const signed = last?.note === undefined ? undefined : last
    this.heads = new Heads({ last: signed, log, place: this.place, signers: (size) => signersOf(log, layout, size) })
    this.keeper = new HeadKeeper(this.heads, { isOurs })
  }

  headFile(): TreeHeadFile | undefined {
    return readHeadFile(this.#parts.layout.head)
  }

  /** Signs a size for a copy, once the copy was compared with the ledger. */
  async signFor(size: number, compare: (log: Log) => Promise<void>, open: Log | undefined): Promise<SignedHead> {
    const log = open ?? (await this.#parts.reopened())
    try {
      await compare(log)
      return await log.sign(size)
    } finally {
      if (log !== open) await log.close()
    }
  }
}
