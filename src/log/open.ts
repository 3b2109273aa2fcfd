import { randomInt } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../errors.ts'
import { readHeadFile } from '../fs/head-file.ts'
import type { Layout } from '../fs/layout.ts'
import { isHeldOpen, type Owner, ownerReader, readOwner, removeOwner, writeOwner } from '../fs/owner.ts'
import { isRunning, thisMachine } from '../fs/process.ts'
import { problemError, programBeside, runChild } from './child.ts'
import { dropEvidence, dropStaleEvidence, fingerprint, keepEvidence, logBytes } from './files.ts'
import { Log } from './log.ts'
import { checkOpened } from './open-check.ts'
import { raiseHead } from './raise-head.ts'
import { openFailure, refusedOpen } from './refused-open.ts'
import { dropStaleSnapshots } from './snapshot-folders.ts'
import { openStore, type Store } from './store.ts'
import { readWal, type Wal } from './wal.ts'

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
/**
 * A hint that somebody has it open is believed for so long, then it is tried all the same: looking is cheap, trying
 * not.
 */
const hintMillisMax = 2_000

/**
 * Opens an existing log: evidence kept, the database opened, the open check passed, the owner named.
 * Errors: LEDGER_UNAVAILABLE (busy for too long, naming the owner; or the system gave an error and nobody saw damage),
 * LEDGER_CORRUPT (evidence kept, named in the hint), LEDGER_FORMAT. What was refused left the database as it was met.
 */
export async function openLog(options: OpenOptions): Promise<Log> {
  const until = performance.now() + options.openWaitSeconds * 1000
  let believedUntil = performance.now() + hintMillisMax
  const ownerNow = ownerReader(options.layout.owner)
  for (;;) {
    const owner = ownerNow()
    if (!isHeldOpen(owner) || performance.now() >= believedUntil) {
      const log = await tryOpen(options, owner).catch((error: unknown) => {
        throw openFailure(options.layout, error)
      })
      if (log !== undefined) return log
      believedUntil = performance.now() + hintMillisMax
    }
    if (performance.now() >= until) throw busy(options, owner)
    await pause(retryMillisMin + randomInt(retryMillisMax - retryMillisMin))
  }
}

/**
 * Leaves the log so that the next open can tell that nothing happened to its files since. They are looked at once the
 * database is closed, for until then LevelDB compacts; whoever opened it in between has said so, and knows better.
 */
export async function closeLog(log: Log, layout: Layout): Promise<void> {
  try {
    await log.settle()
  } finally {
    await log.close()
  }
  const owner = readOwner(layout.owner)
  const isAnothers = isHeldOpen(owner) && owner.pid !== process.pid
  if (isAnothers) return
  const files = log.isDamaged ? undefined : filesLeft(layout)
  if (files === undefined) removeOwner(layout.owner)
  else writeOwner(layout.owner, { state: 'closed', files })
}

/** Undefined where they cannot be looked at: all was durable before, so that is for the next open to say. */
function filesLeft({ ledger }: Layout): Record<string, string> | undefined {
  try {
    return fingerprint(ledger)
  } catch {
    return undefined
  }
}

/** Makes the next open read every byte before it believes any: something is known to be wrong with the database. */
export function distrust(layout: Layout): void {
  if (!isHeldOpen(readOwner(layout.owner))) removeOwner(layout.owner)
}

/** One attempt; undefined where another process has it open. */
async function tryOpen(options: OpenOptions, owner: Owner | undefined): Promise<Log | undefined> {
  const { layout } = options
  const met = fingerprint(layout.ledger)
  const suspicion = doubtOf(owner, met)
  // Who opens it changes the files before it can say so.
  if (suspicion === 'changed' && !(await isStill(layout, owner, met))) return undefined
  // While somebody has it open, or checks it, what the others do is to be cheap.
  const isSuspect = suspicion === 'changed' && !isHeldOpen(owner)
  const own = ownerOf(options)
  const evidence = keepEvidence(layout.ledger, layout.evidence, { isSuspect, nonce: own.nonce })
  let store: Store | undefined
  let wal: Wal | undefined
  let isTouched = false
  try {
    wal = readWal(layout.ledger, { isSameBoot: isOfThisBoot(owner) })
    const headFile = await raiseHead(layout, wal, readHeadFile(layout.head))
    const kept = { logBytes: logBytes(layout.ledger), headFile, logHead: wal.head }
    const doubt = options.isExpendable ? 'none' : suspicion
    if (doubt !== 'none') {
      // The check takes a while: who else wants the ledger is to wait for it instead of checking it as well.
      writeOwner(layout.owner, { ...own, suspect: 'checking' })
      isTouched = true
      await checkInChild(layout, kept.logBytes, doubt)
    }
    isTouched = true
    const opened = await openStore(layout.ledger, { create: false })
    store = options.wrapStore?.(opened) ?? opened
    const log = Log.open(store, options.selfCheck)
    checkOpened(log, store, kept)
    // Nobody read every byte of it, so it is left to the next open to do so.
    if (doubt === 'none' && suspicion === 'changed' && options.isExpendable) log.isDamaged = true
    // From here the database is ours until it is closed. Where two in a row die of it, the next looks closer.
    writeOwner(layout.owner, { ...own, ...(doubt === 'crashed' && { suspect: 'after_crash' }) })
    dropEvidence(evidence)
    dropStaleEvidence(layout.evidence)
    dropStaleSnapshots(layout.snapshots)
    return log
  } catch (error) {
    // Who has it open changes the files, so that nothing that was wrong with them means anything.
    const isAnothers = isTouched ? isBusy(error) : !(await isStill(layout, owner, met))
    // The others wait while the files are put back; once the database is closed nothing else keeps them out.
    if (store !== undefined) writeOwner(layout.owner, { ...own, suspect: 'checking' })
    await store?.close().catch(() => {})
    const refusal = isAnothers ? undefined : refusedOpen(error, { layout, evidence, met, nonce: own.nonce, wal })
    if (refusal === undefined) dropEvidence(evidence)
    const said = readOwner(layout.owner)
    if (said?.state === 'open' && said.nonce === own.nonce) restoreOwner(layout.owner, owner)
    if (refusal === undefined) return undefined
    if (refusal.code === 'LEDGER_CORRUPT') distrust(layout)
    throw refusal
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof LockstepError && error.details.busy === true
}

/**
 * Whether the files were last written in this boot of this machine, so that no power failure came since. Who only checked
 * them has written nothing yet: they may be as a power failure left them.
 */
function isOfThisBoot(owner: Owner | undefined): boolean {
  const { boot_id } = thisMachine()
  return owner?.state === 'open' && owner.suspect !== 'checking' && boot_id !== null && owner.boot_id === boot_id
}

function ownerOf({ command, nonce }: OpenOptions) {
  const { boot_id, pid_ns } = thisMachine()
  const since = new Date().toISOString()
  return { state: 'open' as const, pid: process.pid, since, command, nonce: nonce(), boot_id, pid_ns }
}

/** What was said before of the ledger is still all there is to say. */
function restoreOwner(path: string, owner: Owner | undefined): void {
  if (owner === undefined) removeOwner(path)
  else writeOwner(path, owner)
}

const stillMillis = 50

/**
 * Whether owner file and database are the same after a moment in which somebody who just opened it would have said so.
 */
async function isStill(layout: Layout, owner: Owner | undefined, met: Record<string, string>): Promise<boolean> {
  await pause(stillMillis)
  return isDeepStrictEqual([readOwner(layout.owner), fingerprint(layout.ledger)], [owner, met])
}

type Doubt = 'none' | 'crashed' | 'changed'

/**
 * How far the files can be trusted not to make LevelDB abort. As they were left at close, or open somewhere just
 * now: entirely. Left open: a process died. Two died in a row, or one while it looked, or the files were changed,
 * copied, put back or found damaged before: not at all, so every byte is read.
 */
function doubtOf(owner: Owner | undefined, met: Record<string, string>): Doubt {
  if (owner === undefined) return 'changed'
  if (owner.state === 'open') {
    if (isRunning(owner.pid)) return owner.suspect === 'checking' ? 'changed' : 'none'
    return owner.suspect === undefined ? 'crashed' : 'changed'
  }
  const names = new Set([...Object.keys(owner.files), ...Object.keys(met)])
  return [...names].every((name) => owner.files[name] === met[name]) ? 'none' : 'changed'
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
