import { randomInt } from 'node:crypto'
import { LockstepError } from '../errors.ts'
import { Guard } from '../fs/guard.ts'
import { readHeadFile } from '../fs/head-file.ts'
import type { Layout } from '../fs/layout.ts'
import { isKnownGone, type Owner, ownerReader, readOwner, removeOwner, thisOwner, writeOwner } from '../fs/owner.ts'
import { dropProcessFolders } from '../fs/process-folder.ts'
import { problemError, programBeside, runChild } from './child.ts'
import { Custody } from './custody.ts'
import { type Doubt, doubtOf, isOfThisBoot } from './doubt.ts'
import { dropEvidence, dropStaleEvidence, fingerprint, keepEvidence, logBytes } from './files.ts'
import { keptStore } from './kept-store.ts'
import { Log } from './log.ts'
import { checkOpened } from './open-check.ts'
import { raiseHead } from './raise-head.ts'
import { openFailure, refusedOpen } from './refused-open.ts'
import { isStill, readWalTwice } from './still.ts'
import { openStore, type Store } from './store.ts'
import type { Wal } from './wal.ts'

export interface OpenOptions {
  layout: Layout
  /** How long to wait while another process has the ledger open, in seconds. */
  openWaitSeconds: number
  /** Said of this process in the owner file. */
  command: string
  nonce: () => string
  selfCheck?: boolean
  /** This process may die of the database: nothing is checked in a child first. */
  isExpendable?: boolean
  /** A test's store that fails when told to. */
  wrapStore?: (store: Store) => Store
}

const retryMillisMin = 5
const retryMillisMax = 25
/** While the owner file says that the ledger is open, its guard is asked only so often: the file costs less. */
const askMillis = 250

/**
 * Opens an existing log: the guard taken, evidence kept, the database opened, the open check passed, the owner named.
 * Errors: LEDGER_UNAVAILABLE (busy for too long, naming the owner; or the system gave an error and nobody saw damage),
 * LEDGER_CORRUPT (evidence kept, named in the hint), LEDGER_FORMAT. What was refused left the database as it was met.
 */
export async function openLog(options: OpenOptions): Promise<Log> {
  const until = performance.now() + options.openWaitSeconds * 1000
  const ownerNow = ownerReader(options.layout.owner)
  let askAt = 0
  for (;;) {
    const owner = ownerNow()
    if (owner?.state !== 'open' || performance.now() >= askAt) {
      const log = await tryOpen(options).catch((error: unknown) => {
        throw openFailure(options.layout, error)
      })
      if (log !== undefined) return log
      askAt = performance.now() + askMillis
    }
    if (performance.now() >= until) throw busy(options, ownerNow())
    await pause(retryMillisMin + randomInt(retryMillisMax - retryMillisMin))
  }
}

/**
 * Leaves the log so that the next open can tell that nothing happened to its files since. They are looked at once the
 * database is closed, for until then LevelDB compacts. In a ledger that took the place of this one nothing is written.
 */
export async function closeLog(log: Log, layout: Layout): Promise<void> {
  const { custody } = log
  try {
    try {
      if (custody?.isInPlace() !== false) await log.settle()
      else if (custody.isLogLost) await custody.saveMemory()
    } finally {
      await log.close()
    }
    if (custody?.isOurs() === false) return
    const files = log.isDamaged || custody?.isLogLost === true ? undefined : filesLeft(layout)
    if (files === undefined) removeOwner(layout.owner)
    else writeOwner(layout.owner, { state: 'closed', files })
  } finally {
    custody?.release()
  }
}

/** Undefined where they cannot be looked at: all was durable before, so that is for the next open to say. */
function filesLeft({ ledger }: Layout): Record<string, string> | undefined {
  try {
    return fingerprint(ledger)
  } catch {
    return undefined
  }
}

/**
 * Makes the next open read every byte before it believes any: something is known to be wrong with the database. Where
 * another process has it open already, its owner file is left alone.
 */
export async function distrust(layout: Layout): Promise<void> {
  const guard = await Guard.take(layout).catch((error: unknown) => {
    throw openFailure(layout, error)
  })
  if (guard === undefined) return
  removeOwner(layout.owner)
  guard.release()
}

/** One attempt; undefined if another process has it open, or if it was moved meanwhile, which the next attempt finds. */
async function tryOpen(options: OpenOptions): Promise<Log | undefined> {
  const guard = await Guard.take(options.layout)
  if (guard === undefined) return undefined
  let log: Log | undefined
  try {
    log = await openGuarded(options, guard)
    return log
  } catch (error) {
    if (!guard.isInPlace()) return undefined
    throw error
  } finally {
    if (log === undefined) guard.release()
  }
}

/** Undefined where another process has the database open all the same: no part of the guard reached it. */
async function openGuarded(options: OpenOptions, guard: Guard): Promise<Log | undefined> {
  const { layout } = options
  const owner = readOwner(layout.owner)
  const met = fingerprint(layout.ledger)
  const suspicion = doubtOf(owner, met, guard.here.folder)
  // Who opens it changes the files before it can say so.
  if (suspicion === 'changed' && !(await isStill(layout, { met, owner }))) return undefined
  const own = thisOwner({ ...guard.here, command: options.command, nonce: options.nonce() })
  const evidence = keepEvidence(layout.ledger, layout.evidence, {
    isSuspect: suspicion === 'changed',
    nonce: own.nonce,
  })
  let store: Store | undefined
  let log: Log | undefined
  let wal: Wal | undefined
  let isTouched = false
  try {
    wal = await readWalTwice(layout, { isSameBoot: isOfThisBoot(owner), met, owner })
    const headFile = await raiseHead(layout, wal, readHeadFile(layout.head))
    const kept = { logBytes: logBytes(layout.ledger), headFile, logHead: wal.head }
    const doubt = options.isExpendable ? 'none' : suspicion
    if (doubt !== 'none') {
      // Where this process dies while it checks, the next one reads every byte. An owner that cannot be seen may only be
      // slow to answer, and stops if it misses its file: LevelDB's lock tells the child whether it lives.
      if (!isUnseen(owner, guard)) writeOwner(layout.owner, { ...own, suspect: 'checking' })
      isTouched = true
      await checkInChild(layout, kept.logBytes, doubt)
    }
    isTouched = true
    const opened = await openStore(layout.ledger, { at: guard.ledger, create: false })
    store = options.wrapStore?.(opened) ?? opened
    const custody = () => log?.custody
    log = Log.open(keptStore(store, custody), options.selfCheck)
    checkOpened(log, store, kept)
    // Nobody read every byte of it, so it is left to the next open to do so.
    if (doubt === 'none' && suspicion === 'changed' && options.isExpendable) log.isDamaged = true
    // From here the database is ours until it is closed. Where two in a row die of it, the next looks closer.
    const isNamed = writeOwner(layout.owner, { ...own, ...(doubt === 'crashed' && { suspect: 'after_crash' }) })
    log.custody = new Custody({ layout, guard, nonce: own.nonce, isNamed, store: opened })
    dropEvidence(evidence)
    dropStaleEvidence(layout.evidence)
    dropProcessFolders(layout.snapshots, '')
    return log
  } catch (error) {
    // Who has it open changes the files, so that nothing that was wrong with them means anything.
    const isAnothers = isTouched ? isBusy(error) : !(await isStill(layout, { met, owner }))
    const isInPlace = guard.isInPlace()
    // Where this process dies while the files are put back, the next one reads every byte.
    if (store !== undefined && isInPlace && !isAnothers) writeOwner(layout.owner, { ...own, suspect: 'checking' })
    await store?.close().catch(() => {})
    const refusal = isAnothers ? undefined : refusedOpen(error, { layout, evidence, met, nonce: own.nonce, wal })
    if (refusal === undefined) dropEvidence(evidence)
    if (isInPlace) restoreOwner(layout.owner, owner, own.nonce)
    if (refusal === undefined) return undefined
    if (refusal.code === 'LEDGER_CORRUPT') removeOwner(layout.owner)
    throw refusal
  }
}

/** Whether the owner file names a process of which nothing can be known from here. */
function isUnseen(owner: Owner | undefined, { here }: Guard): boolean {
  return owner?.state === 'open' && !isKnownGone(owner, here)
}

/** Whether another process has the database, or another database came in its place meanwhile. */
function isBusy(error: unknown): boolean {
  return error instanceof LockstepError && (error.details.busy === true || error.code === 'LEDGER_MOVED')
}

/** What was said before of the ledger is still all there is to say, unless another process said something since. */
function restoreOwner(path: string, owner: Owner | undefined, nonce: string): void {
  const now = readOwner(path)
  if (now?.state !== 'open' || now.nonce !== nonce) return
  if (owner === undefined) removeOwner(path)
  else writeOwner(path, owner)
}

const checkProgram = programBeside(import.meta.url, '../log/open-check-child')

/** Opens and checks in a child first, so that a database that aborts its process aborts that one. */
async function checkInChild(layout: Layout, bytes: number, doubt: Doubt): Promise<void> {
  const answer = await runChild(checkProgram, [layout.root, String(bytes), doubt === 'changed' ? 'all' : 'newest'])
  if (answer.problem !== undefined) throw problemError(answer.problem)
}

function busy(options: OpenOptions, owner: Owner | undefined): LockstepError {
  const facts =
    owner?.state === 'open' ? { owner_pid: owner.pid, owner_command: owner.command, owner_since: owner.since } : {}
  const who =
    owner?.state === 'open' ? `process ${owner.pid} (${owner.command}) since ${owner.since}` : 'another process'
  return new LockstepError(
    'LEDGER_UNAVAILABLE',
    `the ledger was open in ${who} for all of ${options.openWaitSeconds} s`,
    {
      details: { outcome: 'not_applied', busy: true, ...facts },
      hint: 'Wait longer with --open-wait, or end that process.',
    },
  )
}

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis))
}
