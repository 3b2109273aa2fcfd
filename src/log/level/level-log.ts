import type { Layout } from '../../disk/layout.ts'
import { invariant } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'
import { KeyedLog } from '../keyed/log.ts'
import type { Appended } from '../log.ts'
import { treeHeadOf } from '../tiles.ts'
import { fingerprint } from './files.ts'
import { type HeadFile, readHeadFile } from './open/head-file.ts'
import { HeadKeeper } from './open/head-keeper.ts'
import type { Custody } from './owner/custody.ts'
import { removeOwner, writeOwner } from './owner/owner.ts'

/** Where an opened log lies, and what keeps other processes out of it. */
interface Place {
  /** Copies the database and opens the copy. */
  copy: () => Promise<LevelLog>
  custody: Custody
  layout: Layout
}

/** A log in LevelDB. It is opened by `openLog`; without that it has no place, and only reads and writes its store. */
export class LevelLog extends KeyedLog {
  #place: (Place & { heads: HeadKeeper }) | undefined
  /** For a copy: its head file, and what is done after its database was closed. */
  copied: { head: string; ledger: string; removed: () => void } | undefined

  /** Called once, when the database was opened and belongs to this process. */
  takePlace({ copy, custody, layout }: Place): void {
    this.custody = custody
    this.#place = { copy, custody, heads: new HeadKeeper(layout.head, () => treeHeadOf(this), custody), layout }
  }

  /** The tree head kept outside the database. It is never ahead of the database. */
  override headFile(): HeadFile | undefined {
    const path = this.copied?.head ?? this.#place?.layout.head
    return path === undefined ? undefined : readHeadFile(path)
  }

  override async append(...batch: Parameters<KeyedLog['append']>): Promise<Appended> {
    const appended = await super.append(...batch)
    this.#place?.heads.touch()
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
      await place.heads.close()
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
