import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Code, codes, type Details, LockstepError } from '../errors.ts'
import { readHeadFile } from '../fs/head-file.ts'
import type { Layout } from '../fs/layout.ts'
import { isHeldOpen, type Owner, readOwner, writeOwner } from '../fs/owner.ts'
import { dropEvidence, dropStaleEvidence, fingerprint, keepEvidence, logBytes, sealEvidence } from './files.ts'
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
  /** A test's store that fails when told to. */
  wrapStore?: (store: Store) => Store
}

const retryMillisMin = 5
const retryMillisMax = 25
/** A hint that somebody has it open is believed this many times in a row, then tried all the same. */
const hintsBelieved = 8

/**
 * Opens an existing log: evidence kept, the database opened, the open check passed, the owner named.
 * Errors: LEDGER_UNAVAILABLE (busy for too long, naming the owner), LEDGER_CORRUPT (evidence kept, named in the
 * hint), LEDGER_FORMAT.
 */
export async function openLog(options: OpenOptions): Promise<Log> {
  const until = performance.now() + options.openWaitSeconds * 1000
  for (let attempt = 1; ; attempt += 1) {
    const owner = readOwner(options.layout.owner)
    const isHintBelieved = isHeldOpen(owner) && attempt % hintsBelieved !== 0
    const log = isHintBelieved ? undefined : await tryOpen(options, owner)
    if (log !== undefined) return log
    if (performance.now() >= until) throw busy(options, owner)
    await pause(retryMillisMin + randomInt(retryMillisMax - retryMillisMin))
  }
}

/** Leaves the log so that the next open can tell that nothing happened to its files since. */
export async function closeLog(log: Log, layout: Layout): Promise<void> {
  await log.settle()
  writeOwner(layout.owner, { state: 'closed', files: fingerprint(layout.ledger) })
  await log.close()
}

/** One attempt; undefined where another process has it open. */
async function tryOpen(options: OpenOptions, owner: Owner | undefined): Promise<Log | undefined> {
  const { layout } = options
  // Said before the attempt, so that others wait instead of trying; whoever really has it says so again.
  writeOwner(layout.owner, ownerOf(options))
  const evidence = keepEvidence(layout.ledger, layout.evidence, options.nonce())
  let store: Store | undefined
  try {
    const met = { logBytes: logBytes(layout.ledger), headFile: readHeadFile(layout.head) }
    const doubt = doubtOf(owner, fingerprint(layout.ledger))
    if (doubt !== 'none') await checkInChild(layout, met.logBytes, doubt)

    const opened = await openStore(layout.ledger, { create: false })
    store = options.wrapStore?.(opened) ?? opened
    const log = Log.open(store, options.selfCheck)
    checkOpened(log, store, met)
    // From here the database is ours until it is closed.
    writeOwner(layout.owner, ownerOf(options))
    dropEvidence(evidence)
    dropStaleEvidence(layout.evidence)
    return log
  } catch (error) {
    await store?.close()
    if (error instanceof LockstepError && error.details.busy === true) {
      dropEvidence(evidence)
      return undefined
    }
    if (!(error instanceof LockstepError) || error.code !== 'LEDGER_CORRUPT') {
      dropEvidence(evidence)
      throw error
    }
    restoreOwner(layout.owner, owner)
    const kept = sealEvidence(evidence, layout.evidence)
    const hint = `${error.hint ?? 'Nothing was changed by Lockstep.'} The database as it was met is kept in ${kept}.`
    throw new LockstepError('LEDGER_CORRUPT', error.message, {
      details: { ...error.details, evidence: kept },
      hint,
      cause: error.cause,
    })
  }
}

function ownerOf({ command }: OpenOptions): Owner {
  return { state: 'open', pid: process.pid, since: new Date().toISOString(), command }
}

/** A refused open leaves the record of the last good close, so that the next one doubts the files as much. */
function restoreOwner(path: string, owner: Owner | undefined): void {
  if (owner === undefined) rmSync(path, { force: true })
  else writeOwner(path, owner)
}

type Doubt = 'none' | 'crashed' | 'changed'

/**
 * How far the files can be trusted not to make LevelDB abort. As they were left at close, or open somewhere just
 * now: entirely. Left open: a process died. Anything else: changed, copied or put back, so all bytes are read.
 */
function doubtOf(owner: Owner | undefined, met: Record<string, string>): Doubt {
  if (owner === undefined) return 'changed'
  if (owner.state === 'open') return isHeldOpen(owner) ? 'none' : 'crashed'
  const names = new Set([...Object.keys(owner.files), ...Object.keys(met)])
  return [...names].every((name) => owner.files[name] === met[name]) ? 'none' : 'changed'
}

const checkProgram = fileURLToPath(new URL(`./open-check-child${import.meta.url.slice(-3)}`, import.meta.url))
const childMillisMax = 600_000

/** Opens and checks in a child first, so that a database that aborts its process aborts that one. */
async function checkInChild(layout: Layout, bytes: number, doubt: Doubt): Promise<void> {
  const answer = await runChild(checkProgram, [layout.root, String(bytes), doubt === 'changed' ? 'all' : 'newest'])
  if (answer.problem === undefined) return
  const { code, message, details, hint } = answer.problem
  throw new LockstepError(code, message, { details, ...(hint === undefined ? {} : { hint }) })
}

export interface ChildAnswer {
  problem?: { code: Code; message: string; details: Details; hint?: string }
  value?: unknown
}

/**
 * Runs a program of ours in a process of its own and takes the JSON line it ends with. A child that dies of a
 * signal or without an answer is LEDGER_CORRUPT: LevelDB aborts on some damage.
 */
export function runChild(
  program: string,
  programArguments: string[],
  onLine?: (line: string) => void,
): Promise<ChildAnswer> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...process.execArgv, program, ...programArguments], {
      cwd: dirname(program),
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: childMillisMax,
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        if (line.startsWith('answer ')) text = `${line}\n`
        else onLine?.(line)
      }
    })
    child.on('error', reject)
    child.on('close', (status, signal) => {
      if (text.startsWith('answer ')) return resolve(JSON.parse(text.slice('answer '.length)) as ChildAnswer)
      const message = `reading the database ended the process that read it (${signal ?? `exit ${status}`})`
      resolve({ problem: { code: 'LEDGER_CORRUPT', message, details: { signal } } })
    })
  })
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
      details: { outcome: 'not_applied', busy: true, exit: codes.LEDGER_UNAVAILABLE.exit, ...facts },
      hint: 'Wait longer with --open-wait, or end that process.',
    },
  )
}

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis))
}
