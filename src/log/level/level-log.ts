import type { Layout } from '../../disk/layout.ts'
import { invariant } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'
import { headPlace, readHeadFile } from '../head-file.ts'
import { HeadKeeper } from '../head-keeper.ts'
import { Heads } from '../heads.ts'
import { KeyedLog } from '../keyed/log.ts'
import type { Appended, SignedHead, TreeHeadFile } from '../log.ts'
import { signersOf } from '../signer.ts'
import { fingerprint } from './files.ts'
import type { Custody } from './owner/custody.ts'
import { removeOwner, writeOwner } from './owner/owner.ts'

/** Where an opened log lies, and what keeps other processes out of it. */
interface Place {
  /** Copies the database and opens the copy. */
  copy: () => Promise<LevelLog>
  custody: Custody
  layout: Layout
}

/** A private copy of a database. */
interface Copied {
  /** The copy of the head file. */
  head: string
  ledger: string
  /** Called after the database was closed. */
  removed: () => void
  sign: (size: number) => Promise<SignedHead>
}

/** A log in LevelDB. It is opened by `openLog`; without that it has no place, and only reads and writes its store. */
export class LevelLog extends KeyedLog {
  #place: (Place & { heads: Heads; keeper: HeadKeeper }) | undefined
  copied: Copied | undefined

  /** Called once, when the database was opened and belongs to this process. `last` is the head file, which was checked. */
  takePlace({ copy, custody, last, layout }: Place & { last: TreeHeadFile | undefined }): void {
    this.custody = custody
    const { read, write } = headPlace(layout.head)
    const place = {
      read,
      write: async (file: TreeHeadFile) => {
        if (!custody.isOurs()) custody.assertInPlace()
        await write(file)
      },
    }
    const signed = last?.note === undefined ? undefined : last
    const heads = new Heads({ last: signed, log: this, place, signers: (size) => signersOf(this, layout, size) })
    this.#place = { copy, custody, heads, keeper: new HeadKeeper(heads, custody), layout }
  }

  /** Whether this process has the ledger open, and not a copy. */
  get isOwner(): boolean {
    return this.#place !== undefined
  }

  /** The tree head kept outside the database. It is never ahead of the database. */
  override headFile(): TreeHeadFile | undefined {
    const path = this.copied?.head ?? this.#place?.layout.head
    return path === undefined ? undefined : readHeadFile(path)
  }

  override async sign(size: number): Promise<SignedHead> {
    const signer = this.#place?.heads ?? this.copied
    invariant(signer !== undefined, 'only an opened log or a copy of one is signed')
    return signer.sign(size)
  }

  override async keepHead(): Promise<boolean> {
    invariant(this.#place !== undefined, 'only an opened log keeps its head')
    return this.#place.heads.keep()
  }

  override async append(...batch: Parameters<KeyedLog['append']>): Promise<Appended> {
    const appended = await super.append(...batch)
    this.#place?.keeper.touch()
    return appended
  }

  /** Errors: DISK_FULL, FILE_DENIED, FILE_FAILED. Cost: one hard link per table of the database. */
  override copy(): Promise<LevelLog> {
    invariant(this.#place !== undefined, 'only an opened log is copied')
    return this.#place.copy()
  }

  /**
   * For a copy: closes its database, and returns the folder of its files. They stay until `close` removes them. Nothing
   * writes to them meanwhile.
   */
  async closeToFiles(): Promise<string> {
    invariant(this.copied !== undefined, 'the files of an open log belong to LevelDB')
    await super.close()
    return this.copied.ledger
  }

  /**
   * Closes the database so that the next open can tell whether its files have changed since. The files are examined
   * after the database is closed, because LevelDB compacts until then. If another ledger has taken this one's place,
   * nothing is written.
   */
  override async close(): Promise<void> {
    const place = this.#place
    this.#place = undefined
    if (place === undefined) {
      await super.close()
      this.copied?.removed()
      return
    }
    try {
      await place.keeper.close()
    } finally {
      await this.#leave(place)
    }
  }

  async #leave({ custody, layout }: Place): Promise<void> {
    try {
      try {
        if (custody.isInPlace()) await this.reader.settle(limits.settleMillisMax)
        else if (custody.isLogLost) await custody.saveMemory()
      } finally {
        await super.close()
      }
      if (!custody.isOurs()) return
      const files = this.isDamaged || custody.isLogLost ? undefined : filesLeft(layout)
      if (files === undefined) removeOwner(layout.owner)
      else writeOwner(layout.owner, { state: 'closed', files })
    } finally {
      custody.release()
    }
  }
}

/** Undefined if the files cannot be examined. All data was durable before, so the next open reports the problem. */
function filesLeft({ ledger }: Layout): Record<string, string> | undefined {
  try {
    return fingerprint(ledger)
  } catch {
    return undefined
  }
}
