import { setTimeout as pause } from 'node:timers/promises'
import type { EngineFile } from '../../disk/engine-file.ts'
import type { Layout } from '../../disk/layout.ts'
import { LockstepError } from '../../errors.ts'
import { fromHex } from '../../merkle/hash.ts'
import { checkHead, checkKeys } from '../check-head.ts'
import { readHeadFile } from '../head-file.ts'
import { metaKey } from '../keyed/rows/keys.ts'
import { readMeta } from '../keyed/rows/meta-row.ts'
import type { TreeHeadFile } from '../log.ts'
import { configOf } from './connection.ts'
import { type Connect, Database } from './database.ts'
import { assertDurable } from './durability.ts'
import { assertExtends } from './extends.ts'
import { Pairs } from './pairs.ts'
import { PostgresLog } from './postgres-log.ts'
import { type Ground, readKnown } from './reader.ts'
import { DatabaseClock, readSeat, type Seat, takeSeat } from './seat.ts'
import { assertSchema } from './setup.ts'
import { Signing } from './signing.ts'

export interface OpenPostgresOptions {
  /** Opens a ledger whose head file is missing. An entry must record that. */
  acceptsMissingHead?: boolean | undefined
  /** Makes the connections that append. Tests give connections that fail. */
  connect?: Connect | undefined
  file: EngineFile
  /** The home folder of the node; undefined in tests of the engine alone. Then nothing is signed. */
  layout?: Layout | undefined
  recoverMillisMax?: number | undefined
}

/**
 * Opens a ledger in a database as a node that follows it. Nothing is written. Errors: LEDGER_UNAVAILABLE, NO_LEDGER,
 * LEDGER_FORKED (the database lacks what this node knows), LEDGER_CORRUPT, FORMAT_TOO_NEW, LEDGER_FORMAT.
 */
export async function openFollower(options: OpenPostgresOptions): Promise<PostgresLog> {
  const { connect, file, layout, recoverMillisMax } = options
  const { ledger_id: ledgerId, node } = file
  const database = await Database.of(configOf(file.engine), connect)
  try {
    await assertSchema(database.query)
    await assertDurable(database.query)
    const ground = { ledgerId, query: database.query }
    const clock = new DatabaseClock(await readSeat(database.query, ledgerId))
    const known = await readKnown(ground, node)
    const pairs = new Pairs(database.query, ledgerId, () => known.head)
    const meta = readMeta(await pairs.fetched([metaKey]))
    const log = new PostgresLog({ clock, database, known, ledgerId, meta, node, recoverMillisMax })
    if (layout !== undefined) await checkAndSign(log, layout, options)
    return log
  } catch (error) {
    await database.close()
    throw error
  }
}

/**
 * Opens a ledger in a database, and takes the writer's seat, for which it waits. Each process has a seat of its own: a
 * command never takes the seat of a service on the same node. Errors: those of `openFollower`; LEDGER_UNAVAILABLE (busy).
 */
export async function openWriter(
  options: OpenPostgresOptions & { openWaitSeconds: number; process: string },
): Promise<PostgresLog> {
  const { file, openWaitSeconds, process } = options
  const until = performance.now() + openWaitSeconds * 1_000
  const log = await openFollower(options)
  const { database, ledgerId } = log.parts
  try {
    const node = { node: `${file.node}/${process}` }
    let seat: Seat | undefined
    for (;;) {
      seat = await takeSeat(database.query, ledgerId, node)
      if (seat !== undefined) break
      if (performance.now() >= until) throw await busy(log, openWaitSeconds)
      await pause(askMillis)
    }
    await log.write(seat)
    // A failure leaves the seat unsure, and then nothing is answered.
    seat.keep(() => {})
    return log
  } catch (error) {
    await log.close().catch(() => {})
    throw error
  }
}

const askMillis = 50

/** The head file must be of this ledger, and the database must have what it states. */
async function checkAndSign(log: PostgresLog, layout: Layout, options: OpenPostgresOptions): Promise<void> {
  const headFile = readHeadFile(layout.head)
  await checkHead(log, headFile, { acceptsMissing: options.acceptsMissingHead })
  if (headFile !== undefined) await assertHas(log, headFile)
  await checkKeys(log, layout)
  const isOurs = () => log.custody?.isLost !== true
  const reopened = () => openFollower(options)
  log.signing = new Signing({ isOurs, layout, log, reopened })
}

async function assertHas(log: PostgresLog, { reached, root, size }: TreeHeadFile): Promise<void> {
  const ground: Ground = { ledgerId: log.parts.ledgerId, query: log.parts.database.query }
  for (const head of [{ root, size }, ...(reached === undefined ? [] : [reached])]) {
    await assertExtends(ground, log.parts.known, { root: fromHex(head.root) ?? new Uint8Array(0), size: head.size })
  }
}

/** LEDGER_UNAVAILABLE: another process did not give the seat back in time. */
async function busy(log: PostgresLog, openWaitSeconds: number): Promise<LockstepError> {
  const { database, ledgerId } = log.parts
  const { writer } = await readSeat(database.query, ledgerId)
  const what = `${writer == null ? 'another node' : `the node ${writer.node}`} kept the writer’s seat for all of ${openWaitSeconds} s`
  return new LockstepError('LEDGER_UNAVAILABLE', what, {
    details: { outcome: 'not_applied', busy: true, ...(writer == null ? {} : { writer: writer.node }) },
    hint: 'Wait longer with `open_wait_s`, or call the node that writes.',
  })
}
