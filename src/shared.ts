import { governingLayout } from './disk/permissions.ts'
import { userActor, userAuthn } from './disk/user.ts'
import { type Actor, knownAs } from './kernel/ids.ts'
import type { LocalLedger } from './ledger.ts'
import { openSharedLog } from './log/engines.ts'
import type { Log } from './log/log.ts'
import { openOver } from './open.ts'

export interface OpenSharedOptions {
  /** The home folder of this node: its keys, its socket, the name of its database, and the tree head that it knows. */
  dir: string
  /** A connection string in place of the one in the engine file. */
  engine?: string | undefined
  /** The default actor of every call. Default: the user of the operating system. */
  actor?: Actor | undefined
}

/** Who writes a ledger that several nodes share. */
export interface WriterNow {
  /** Null if the seat was given back or never taken. */
  writer: { node: string; url?: string } | null
  /** Milliseconds until the seat is free; zero or less means that it is free now. */
  left_ms: number
}

/** A ledger that this process writes, and whether it may go on. */
export interface Writing {
  ledger: LocalLedger
  /** Whether the seat is this process's no more. */
  isLost: () => boolean
}

/** A ledger that several nodes share, as one of them opens it. */
export interface SharedLedger {
  /** The name of this node. */
  readonly node: string
  /** The ledger as it grows, without the right to write. */
  readonly follower: LocalLedger
  look(): Promise<WriterNow>
  /** Takes in what others have appended, and makes durable how far this node knows the ledger. Errors: LEDGER_FORKED. */
  follow(): Promise<void>
  /** Takes the seat of the writer and opens the ledger under it; undefined if another node has the seat. */
  write(url: string | undefined): Promise<Writing | undefined>
  close(): Promise<void>
}

/**
 * Opens a ledger in a database for the service of a node; undefined if the ledger is in files. The follower is open until
 * `close`. Errors: NO_LEDGER, CONFIG_INVALID, LEDGER_FORKED, LEDGER_UNAVAILABLE, LEDGER_CORRUPT.
 */
export async function openShared({ actor, dir, engine }: OpenSharedOptions): Promise<SharedLedger | undefined> {
  const layout = governingLayout(dir)
  const shared = await openSharedLog(layout, engine)
  if (shared === undefined) return undefined
  const known = knownAs(actor ?? userActor(), userAuthn())
  const over = (log: Log, isSnapshot: boolean) => openOver(log, { actor: known, isSnapshot, layout, options: {} })
  const follower = await over(shared.follower, true)
  return {
    node: shared.node,
    follower,
    look: () => shared.look(),
    follow: async () => {
      await follower.follow()
      shared.followed()
    },
    write: async (url) => {
      const written = await shared.write(url, () => {})
      if (written === undefined) return undefined
      return { ledger: await over(written.log, false), isLost: () => written.seat.isLost }
    },
    close: async () => {
      await follower.close()
      await shared.close()
    },
  }
}
