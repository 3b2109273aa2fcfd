import { randomInt } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../errors.ts'
import { Guard } from '../fs/guard.ts'
import { readHeadFile } from '../fs/head-file.ts'
import type { Layout } from '../fs/layout.ts'
import { type Owner, ownerReader, readOwner, removeOwner, thisOwner, writeOwner } from '../fs/owner.ts'
import { problemError, runChild } from './child.ts'
import { Custody } from './custody.ts'
import { dropEvidence, dropStaleEvidence, fingerprint, keepEvidence, logBytes, sealEvidence } from './files.ts'
import { keptStore } from './kept-store.ts'
import { Log } from './log.ts'
import { checkOpened } from './open-check.ts'
import { openStore, type Store } from './store.ts'

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
 * Errors: LEDGER_UNAVAILABLE (busy for too long, naming the owner), LEDGER_CORRUPT (evidence kept, named in the
 * hint), LEDGER_FORMAT, LEDGER_MOVED (while it was opened).
 */
export async function openLog(options: OpenOptions): Promise<Log> {
  const until = performance.now() + options.openWaitSeconds * 1000
  const ownerNow = ownerReader(options.layout.owner)
  let askAt = 0
  for (;;) {
    const owner = ownerNow()
    if (owner?.state !== 'open' || performance.now() >= askAt) {
      const log = await tryOpen(options)
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
    if (log.isDamaged || custody?.isLogLost === true) removeOwner(layout.owner)
    else writeOwner(layout.owner, { state: 'closed', files: fingerprint(layout.ledger) })
  } finally {
    custody?.release()
  }
}

/**
 * Makes the next open read every byte before it believes any: something is known to be wrong with the database. Where
 * another process has it open already, its owner file is left alone.
 */
export async function distrust(layout: Layout): Promise<void> {
  const guard = await Guard.take(layout)
  if (guard === undefined) return
  try {
    removeOwner(layout.owner)
  } finally {
    guard.release()
  }
}

/** One attempt; undefined where another process has it open. */
async function tryOpen(options: OpenOptions): Promise<Log | undefined> {
  const guard = await Guard.take(options.layout)
  if (guard === undefined) return undefined
  let log: Log | undefined
  try {
    log = await openGuarded(options, guard)
    return log
  } finally {
    if (log === undefined) guard.release()
  }
}

/** Undefined where another process has the database open all the same: none of the guard's parts reached it. */
async function openGuarded(options: OpenOptions, guard: Guard): Promise<Log | undefined> {
  const { layout } = options
  const owner = readOwner(layout.owner)
  const suspicion = doubtOf(owner, layout, guard.here.folder)
  const isSuspect = suspicion === 'changed'
  const evidence = keepEvidence(layout.ledger, layout.evidence, { isSuspect, nonce: options.nonce() })
  const said = thisOwner({ ...guard.here, command: options.command, nonce: options.nonce() })
  let store: Store | undefined
  let log: Log | undefined
  try {
    const kept = { logBytes: logBytes(layout.ledger), headFile: readHeadFile(layout.head) }
    const doubt = options.isExpendable ? 'none' : suspicion
    if (doubt !== 'none') {
      // Another process may have come meanwhile that the guard did not reach.
      if (!isDeepStrictEqual(readOwner(layout.owner), owner)) throw overtaken()
      // Where this process dies while it checks, the next one reads every byte.
      writeOwner(layout.owner, { ...said, suspect: 'checking' })
      await checkInChild(layout, kept.logBytes, doubt)
    }
    const opened = await openStore(layout.ledger, { at: guard.ledger, create: false })
    store = options.wrapStore?.(opened) ?? opened
    log = Log.open(
      keptStore(store, () => log?.custody),
      options.selfCheck,
    )
    checkOpened(log, store, kept)
    // From here the database is ours until it is closed. Where two in a row die of it, the next looks closer.
    writeOwner(layout.owner, { ...said, ...(doubt === 'crashed' && { suspect: 'after_crash' }) })
    log.custody = new Custody({ layout, guard, nonce: said.nonce, store: opened })
    dropEvidence(evidence)
    dropStaleEvidence(layout.evidence)
    return log
  } catch (error) {
    await store?.close()
    if (guard.isInPlace()) restoreOwner(layout.owner, owner, said.nonce)
    if (error instanceof LockstepError && error.code === 'LEDGER_CORRUPT') throw refused(error, layout, evidence)
    dropEvidence(evidence)
    if (error instanceof LockstepError && (error.details.busy === true || error.code === 'LEDGER_MOVED'))
      return undefined
    throw error
  }
}

function overtaken(): LockstepError {
  return new LockstepError('LEDGER_UNAVAILABLE', 'another process opens the ledger', { details: { busy: true } })
}

/**
 * A refused open keeps the evidence, for LevelDB may have deleted what it could not read; and the next open reads
 * every byte, for a gap in the newest entries has moved to where the open check does not look.
 */
function refused(error: LockstepError, layout: Layout, evidence: string): LockstepError {
  removeOwner(layout.owner)
  const kept = sealEvidence(evidence, layout.evidence)
  const hint = `${error.hint ?? 'Nothing was changed by Lockstep.'} The database as it was met is kept in ${kept}.`
  const { cause, details, message } = error
  return new LockstepError('LEDGER_CORRUPT', message, { details: { ...details, evidence: kept }, hint, cause })
}

/** What was said before of the ledger is still all there is to say, unless another process said something since. */
function restoreOwner(path: string, owner: Owner | undefined, nonce: string): void {
  const now = readOwner(path)
  if (now?.state !== 'open' || now.nonce !== nonce) return
  if (owner === undefined) removeOwner(path)
  else writeOwner(path, owner)
}

type Doubt = 'none' | 'crashed' | 'changed'

/**
 * How far the files can be trusted not to make LevelDB abort. As they were left at close: entirely. Left open: a process
 * died, for we have the guard. Two died in a row, or one while it looked, or the files were changed, copied, put back or
 * found damaged before: not at all, so every byte is read.
 */
function doubtOf(owner: Owner | undefined, layout: Layout, folder: string): Doubt {
  if (owner === undefined) return 'changed'
  if (owner.state === 'open') {
    const isCopied = owner.folder != null && owner.folder !== folder
    return owner.suspect === undefined && !isCopied ? 'crashed' : 'changed'
  }
  const met = fingerprint(layout.ledger)
  const names = new Set([...Object.keys(owner.files), ...Object.keys(met)])
  return [...names].every((name) => owner.files[name] === met[name]) ? 'none' : 'changed'
}

// From the folder above, so that it is found from the built command too, which is bundled in a folder beside this.
const checkProgram = fileURLToPath(new URL(`../log/open-check-child${import.meta.url.slice(-3)}`, import.meta.url))

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
