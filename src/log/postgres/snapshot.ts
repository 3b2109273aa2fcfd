import type { LogSnapshot } from '../log.ts'
import type { Session } from './database.ts'
import type { PostgresParts } from './parts.ts'
import { type Known, PostgresReader, readKnown } from './reader.ts'

/** A ledger in the database at one moment. It has a connection until it is closed. */
export class PostgresSnapshot extends PostgresReader implements LogSnapshot {
  readonly #session: Session

  private constructor(session: Session, ledgerId: string, known: Known) {
    super({ ledgerId, query: session.query }, known)
    this.#session = session
  }

  static async of(parts: PostgresParts): Promise<PostgresSnapshot> {
    const { database, ledgerId, node } = parts
    const session = await database.snapshot()
    try {
      return new PostgresSnapshot(session, ledgerId, await readKnown({ ledgerId, query: session.query }, node))
    } catch (error) {
      session.destroy()
      throw error
    }
  }

  close(): Promise<void> {
    return this.#session.end()
  }
}
