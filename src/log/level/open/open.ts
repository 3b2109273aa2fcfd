import { randomBytes, randomInt } from 'node:crypto'
import type { Layout } from '../../../disk/layout.ts'
import { LockstepError } from '../../../errors.ts'
import { limits } from '../../../kernel/limits.ts'
import { checkHead, checkKeys } from '../../check-head.ts'
import { readHeadFile } from '../../head-file.ts'
import type { Store } from '../../keyed/store.ts'
import { dropEvidence, fingerprint, keepEvidence, logBytes } from '../files.ts'
import { keptStore } from '../kept-store.ts'
import { LevelLog } from '../level-log.ts'
import { Custody } from '../owner/custody.ts'
import { Guard } from '../owner/guard.ts'
import {
  isKnownAlive,
  isKnownGone,
  type Owner,
  ownerReader,
  readOwner,
  removeOwner,
  thisOwner,
  writeOwner,
} from '../owner/owner.ts'
import { placeOf } from '../owner/place.ts'
import { openStore } from '../store.ts'
import type { Wal } from '../wal/wal.ts'
import { isWritable, openBeside } from './beside.ts'
import { busy, servedBy } from './busy.ts'
import { cleanUp } from './clean-up.ts'
import { checkInChild, doubtOf, isOfThisBoot } from './doubt.ts'
import { checkOpened } from './open-check.ts'
import { raiseHead } from './raise-head.ts'
import { openFailure, refusedOpen } from './refused-open.ts'
import { takeSnapshot } from './snapshot-files.ts'
import { isInPlaceForSure, isStill, readWalTwice } from './still.ts'

export interface OpenOptions {
  layout: Layout
  /** How long to wait, in seconds, while another process has the ledger open. */
  openWaitSeconds: number
  /** The command to record for this process in the owner file. */
  command: string
  /** Whether this process serves the ledger, so that others call it and do not wait. */
  isService?: boolean
  nonce: () => string
  /**
   * A private copy is opened instead (ADR 0051): always, or only if the ledger cannot be written or another process has it
   * for longer than a command does.
   */
  snapshot?: 'always' | 'if-busy' | undefined
  selfCheck?: boolean
  /** This process may crash because of the database, so no child process checks it first. */
  isExpendable?: boolean
  /** Opens a copied or moved ledger, to say which ledger it is. */
  isAdopting?: boolean
  /** Opens a ledger whose head file is missing. An entry must record that. */
  acceptsMissingHead?: boolean | undefined
  /** For tests: wraps the store, for example to make it fail. */
  wrapStore?: ((store: Store) => Store) | undefined
}

const retryMillisMin = 5
const retryMillisMax = 25
/** While the owner file says "open", the guard is tried only this often. Reading the file is cheaper. */
const askMillis = 250

/**
 * Opens an existing log: takes the guard, keeps evidence, opens the database, runs the open check and writes the owner
 * file. A refused open leaves the database as it was found. With `snapshot`, the result may be a copy (`copied`).
 * Errors: LEDGER_SERVED (at once), LEDGER_UNAVAILABLE (busy for too long, with the owner's name; or a system error, with
 * no damage seen), LEDGER_CORRUPT (the hint names the kept evidence), LEDGER_COPIED, FORMAT_TOO_NEW, LEDGER_FORMAT.
 */
export async function openLog(options: OpenOptions): Promise<LevelLog> {
  const { layout, snapshot } = options
  if (snapshot === 'always' || (snapshot === 'if-busy' && !isWritable(layout))) return openBeside(options)
  const begun = performance.now()
  const until = begun + options.openWaitSeconds * 1000
  const ownerNow = ownerReader(layout.owner)
  let askAt = 0
  for (;;) {
    const owner = ownerNow()
    if (owner?.state !== 'open' || performance.now() >= askAt) {
      const log = await tryOpen(options).catch((error: unknown) => {
        throw openFailure(layout, error)
      })
      if (log !== undefined) return log
      const isServed = owner?.state === 'open' && owner.is_service && isKnownAlive(owner)
      if (isServed && snapshot === undefined) throw servedBy(owner)
      askAt = performance.now() + askMillis
    }
    const now = performance.now()
    const isOver = now >= until
    if (snapshot === 'if-busy' && isReadBeside(ownerNow(), isOver ? Number.POSITIVE_INFINITY : now - begun))
      return openBeside(options)
    if (isOver) throw busy(options.openWaitSeconds, ownerNow())
    await pause(retryMillisMin + randomInt(retryMillisMax - retryMillisMin))
  }
}

/**
 * Whether a reader stops waiting and reads a copy: the owner has the ledger for longer than a command does, or others had
 * it for all of that time. While the owner checks every byte of changed files, readers wait for the result.
 */
function isReadBeside(owner: Owner | undefined, waitedMillis: number): boolean {
  const isOpen = owner?.state === 'open'
  if (isOpen && owner.suspect === 'checking') return false
  const ownedMillis = isOpen ? Date.now() - Date.parse(owner.since) : 0
  return Math.max(waitedMillis, ownedMillis) >= limits.besideMillis
}

/** Makes the next open read every byte, after a problem was found. Does nothing if the ledger is open elsewhere. */
export async function distrust(layout: Layout): Promise<void> {
  const guard = await Guard.take(layout).catch((error: unknown) => {
    throw openFailure(layout, error)
  })
  if (guard === undefined) return
  removeOwner(layout.owner)
  guard.release()
}

/**
 * Makes one attempt. Returns undefined if the ledger is open elsewhere or was moved, so that the caller tries again.
 */
async function tryOpen(options: OpenOptions): Promise<LevelLog | undefined> {
  const guard = await Guard.take(options.layout)
  if (guard === undefined) return undefined
  let log: LevelLog | undefined
  try {
    const inPlace = options.isAdopting ? undefined : placeOf(options.layout)
    log = await openGuarded(options, guard)
    if (log !== undefined) await inPlace?.record()
    return log
  } catch (error) {
    if (!guard.isInPlace()) return undefined
    throw error
  } finally {
    if (log === undefined) guard.release()
  }
}

/** Returns undefined if another process has the database open after all, because no part of the guard reached it. */
async function openGuarded(options: OpenOptions, guard: Guard): Promise<LevelLog | undefined> {
  const { command, isService = false, layout } = options
  const owner = readOwner(layout.owner)
  const met = fingerprint(layout.ledger)
  const suspicion = doubtOf(owner, met, guard.here.folder)
  // A process that opens the database changes files before it can write the owner file.
  if (suspicion === 'changed' && !(await isStill(layout, owner, met))) return undefined
  const own = thisOwner({ ...guard.here, command, isService, nonce: options.nonce() })
  const evidence = keepEvidence(layout.ledger, layout.evidence, {
    isSuspect: suspicion === 'changed',
    nonce: own.nonce,
  })
  let store: Store | undefined
  let log: LevelLog | undefined
  let wal: Wal | undefined
  let isTouched = false
  try {
    // A later format may change every other file, but it states itself in this one.
    readHeadFile(layout.head)
    wal = await readWalTwice(layout, { met, options: { isSameBoot: isOfThisBoot(owner) }, owner })
    const headFile = await raiseHead(layout, wal, readHeadFile(layout.head))
    const kept = { logBytes: logBytes(layout.ledger), headFile, logHead: wal.head }
    const doubt = options.isExpendable ? 'none' : suspicion
    if (doubt !== 'none') {
      // If this process dies during the check, the next open reads every byte. An owner that cannot be seen may only be
      // slow to answer, and it stops if its owner file is replaced. LevelDB's lock tells the child whether it lives.
      if (!isUnseen(owner, guard)) writeOwner(layout.owner, { ...own, suspect: 'checking' })
      isTouched = true
      await checkInChild(layout, kept.logBytes, doubt)
    }
    isTouched = true
    const opened = await openStore(layout.ledger, { at: guard.ledger, create: false })
    store = options.wrapStore?.(opened) ?? opened
    let custody: Custody | undefined
    log = LevelLog.open(
      keptStore(store, () => custody),
      options.selfCheck,
    )
    checkOpened(log, store, kept)
    await checkHead(log, headFile, { acceptsMissing: options.acceptsMissingHead })
    if (!options.isAdopting) await checkKeys(log, layout)
    // Nothing has read every byte of this database, so the next open must do so.
    if (doubt === 'none' && suspicion === 'changed' && options.isExpendable) log.isDamaged = true
    // From here until close, the database belongs to this process. If two processes in a row die of it, the next open
    // checks more.
    const isNamed = writeOwner(layout.owner, { ...own, ...(doubt === 'crashed' && { suspect: 'after_crash' }) })
    custody = new Custody({ layout, guard, nonce: own.nonce, isNamed, store: opened })
    const opening = log
    const copy = () =>
      takeSnapshot(opening, layout, { later: () => openBeside({ layout }), nonce: randomBytes(9).toString('hex') })
    log.takePlace({ copy, custody, last: headFile, layout })
    cleanUp(layout, evidence)
    return log
  } catch (error) {
    // If another process has the database open, it changes the files, so the problems found here mean nothing.
    const isInPlace = isInPlaceForSure(guard)
    let isAnothers: boolean
    try {
      isAnothers = isTouched ? isBusy(error) : !(await isStill(layout, owner, met))
      // If this process dies while it puts the files back, the next open reads every byte.
      if (store !== undefined && isInPlace && !isAnothers) writeOwner(layout.owner, { ...own, suspect: 'checking' })
    } finally {
      // Whatever else fails, this process does not keep the database.
      await store?.close().catch(() => {})
    }
    const refusal = isAnothers ? undefined : refusedOpen(error, { layout, evidence, met, nonce: own.nonce, wal })
    if (refusal === undefined) dropEvidence(evidence)
    if (isInPlace) restoreOwner(layout.owner, owner, own.nonce)
    if (refusal === undefined) return undefined
    if (refusal.code === 'LEDGER_CORRUPT') removeOwner(layout.owner)
    throw refusal
  }
}

/** Whether the owner file names a process that may be alive although it cannot be seen from here. */
function isUnseen(owner: Owner | undefined, { here }: Guard): boolean {
  return owner?.state === 'open' && !isKnownGone(owner, here)
}

/** Whether another process has the database open, or another database has taken its place. */
function isBusy(error: unknown): boolean {
  return error instanceof LockstepError && (error.details.busy === true || error.code === 'LEDGER_MOVED')
}

/** Restores what the owner file said before, unless another process has written to it since. */
function restoreOwner(path: string, owner: Owner | undefined, nonce: string): void {
  const now = readOwner(path)
  if (now?.state !== 'open' || now.nonce !== nonce) return
  if (owner === undefined) removeOwner(path)
  else writeOwner(path, owner)
}

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis))
}
