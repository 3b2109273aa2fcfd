import { randomBytes } from 'node:crypto'
import type * as shapes from '../api/shapes/log.ts'
import type { LedgerState } from '../domain/log/configuration.ts'
import { refusedAsSealed } from '../domain/log/seal.ts'
import { ledgerStream } from '../domain/log/stream.ts'
import { invariant, LockstepError } from '../errors.ts'
import { defaultConfig } from '../kernel/config.ts'
import type { Row } from '../kernel/decider.ts'
import type { Cursors, Log, Meta } from '../log/log.ts'
import { checkpointBy, keysOf } from '../log/signer.ts'
import { rootOf } from '../log/tiles.ts'
import { sameBytes, toHex } from '../merkle/hash.ts'
import { verifyLog } from '../verify/verify.ts'
import { configInLog } from '../writer/config-in-force.ts'
import { errorOf } from '../writer/refusals.ts'
import { Receiver, verifyReceived } from './receive.ts'

/** The place that a ledger leaves. */
export interface MoveSource {
  /** The folder that the ledger governs. */
  root: string
  /** The ledger as it is now, for reading. The caller closes it. */
  snapshot(): Promise<Log>
  /** Ends the ledger in this place (`log.seal`). */
  seal(to: string): Promise<shapes.SealedLedger>
}

/** The place that a ledger goes to. */
export interface MoveTarget {
  /**
   * Opens the place for this process alone, and makes it if it is missing. `meta` is the identity of the ledger, and the
   * name of a new place. Errors: LEDGER_EXISTS (it has another ledger), LEDGER_SERVED, LEDGER_UNAVAILABLE.
   */
  receive(meta: Meta): Promise<Log>
  /** Takes over the identity that the ledger has by now, before the last entries. */
  rename(meta: Meta): Promise<void>
  /**
   * Makes the place ready to be opened, and closes it. Its log has all entries. `cursors` are those of the reactors in the
   * old place. It may have been called before.
   */
  complete(cursors: Cursors): Promise<void>
  /** Lets go of the place. What it received stays. */
  close(): Promise<void>
}

export interface MoveOptions {
  onProgress?: ((done: number, total: number) => void) | undefined
}

/** A ledger that was moved. */
export interface MovedLedger {
  /** The signed tree head with the seal, of which both places have the tree. */
  checkpoint: string
  ledger_id: string
  origin: string
  root: string
  size: number
  /** The name of the new place. */
  to: string
}

/** The name of a place that a ledger is moved to for the first time. */
export function newPlace(engine: 'leveldb' | 'memory' | 'postgresql'): string {
  return `${engine}:${randomBytes(16).toString('hex')}`
}

/** So many entries are copied after the seal at most, unless they come faster than they are copied. */
const leftMax = 2_048
const roundsMax = 16

/**
 * Moves a ledger to another place: the same entries, name and key (ADR 0076). At any moment exactly one place can append:
 * 1. The new place receives the entries while the old one goes on. Whatever is interrupted here changes nothing in the
 *    old place, and the next move to the same place goes on from there.
 * 2. The new place verifies every byte of what it received.
 * 3. The old place appends the seal, and takes no command from then on. After a crash, this move can only be completed.
 * 4. The new place receives what was appended meanwhile, compares its tree with the signed head, and appends the seal
 *    last. The seal names the new place, so this append is what lets it take commands.
 * Errors: LEDGER_EXISTS, LEDGER_SEALED (moved to a third place), VERIFY_FAILED, LEDGER_CORRUPT, those of `seal`.
 * Cost: a pass over the old place, and two over the new one.
 */
export async function moveLedger(
  source: MoveSource,
  target: MoveTarget,
  { onProgress }: MoveOptions = {},
): Promise<MovedLedger> {
  let snapshot = await source.snapshot()
  try {
    const log = await target.receive(snapshot.meta)
    const { place = '' } = log.meta
    const receiver = new Receiver(log)
    const again = async () => {
      await snapshot.close()
      snapshot = await source.snapshot()
    }
    if (snapshot.meta.place === place) throw isHere(place)
    await assertPrefix(log, snapshot)
    await assertHere(snapshot, place)
    for (let rounds = 0; rounds < roundsMax; rounds += 1) {
      const to = await sizeBeforeSeal(snapshot, place)
      const received = log.head().size
      await receiver.take(snapshot, { onProgress: (done) => onProgress?.(done, 2 * to), to })
      if (to - received <= leftMax) break
      await again()
    }
    const verified = await verifyWhole(source, log, onProgress)

    const sealed = await source.seal(place)
    await again()
    await assertSigned(snapshot, sealed)
    if (log.head().size < sealed.size) await receiveRest(receiver, snapshot, { sealed, target, verified })
    // From here on the new place has the ledger. A crash leaves at most files of its folder to be completed.
    invariant(toHex(await rootOf(log, sealed.size)) === sealed.root, 'both places have the tree that was signed')
    await target.complete(snapshot.head().cursors)
    const { ledger_id, origin } = snapshot.meta
    return { checkpoint: sealed.checkpoint, ledger_id, origin, root: sealed.root, size: sealed.size, to: place }
  } finally {
    await target.close()
    await snapshot.close()
  }
}

interface Rest {
  sealed: shapes.SealedLedger
  target: MoveTarget
  /** The size up to which the new place was verified. */
  verified: number
}

async function receiveRest(receiver: Receiver, from: Log, { sealed, target, verified }: Rest): Promise<void> {
  const { log } = receiver
  await receiver.take(from, { to: sealed.seq })
  await verifyReceived(log, {
    from: Math.min(verified, sealed.seq),
    root: await rootOf(from, sealed.seq),
    to: sealed.seq,
  })
  await target.rename({ ...from.meta, place: sealed.to })
  await receiver.take(from, { cursors: from.head().cursors, to: sealed.size })
}

/** The new place must begin as the ledger does. A place that completed this move has more than the ledger here. */
async function assertPrefix(log: Log, from: Log): Promise<void> {
  const size = Math.min(log.head().size, from.head().size)
  if (!sameBytes(await rootOf(log, size), await rootOf(from, size))) throw otherHistory(size)
  const isBehind = log.head().size <= from.head().size
  if (isBehind || (await sealOf(from))?.to === log.meta.place) return
  throw otherHistory(size)
}

/** Errors: LEDGER_SEALED if the ledger left for a third place. */
async function assertHere(from: Log, to: string): Promise<void> {
  const row = await ledgerRow(from)
  const refusal = row?.state.sealed?.to === to ? undefined : refusedAsSealed(row, from.meta.place)
  if (refusal !== undefined) throw errorOf(refusal)
}

/** The size up to which entries are copied before the old place is known to be sealed: the seal itself comes last. */
async function sizeBeforeSeal(from: Log, place: string): Promise<number> {
  const seal = await sealOf(from)
  return seal?.to === place ? seal.seq : from.head().size
}

async function sealOf(log: Log): Promise<LedgerState['sealed']> {
  return (await ledgerRow(log))?.state.sealed
}

async function ledgerRow(log: Log): Promise<Row<LedgerState> | undefined> {
  const [row] = await log.load([{ view: 'row', key: ledgerStream }])
  return row as Row<LedgerState> | undefined
}

/** Verifies what was received, unless the place has been opened since. Returns its size. */
async function verifyWhole({ root }: MoveSource, log: Log, onProgress: MoveOptions['onProgress']): Promise<number> {
  const { size } = log.head()
  if ((await sealOf(log))?.to === log.meta.place) return size
  const config = (await configInLog(log))?.config ?? defaultConfig
  await verifyLog(log, { root }, config, {
    onProgress: ({ done, total }) => onProgress?.(total + done, 2 * total),
  })
  return size
}

/** A key of the ledger must have signed the head with the seal, and the old place must have that tree. Errors: VERIFY_FAILED. */
async function assertSigned(log: Log, { checkpoint, root, size }: shapes.SealedLedger): Promise<void> {
  const signed = await checkpointBy(checkpoint, await keysOf(log))
  const isSigned = signed.ok && signed.value.size === size && toHex(signed.value.root) === root
  if (isSigned && toHex(await rootOf(log, size)) === root) return
  throw new LockstepError(
    'VERIFY_FAILED',
    'no key of the ledger signed the head with the seal, as the old place has it',
    {
      details: { check: 'checkpoint', size },
    },
  )
}

function isHere(place: string): LockstepError {
  return new LockstepError('LEDGER_EXISTS', `the ledger is in ${place} already`, { details: { to: place } })
}

function otherHistory(size: number): LockstepError {
  return new LockstepError('VERIFY_FAILED', `the new place has another history than the ledger at size ${size}`, {
    details: { check: 'entries', size },
    hint: 'Move the ledger to another place. Nothing was changed in this one.',
  })
}
