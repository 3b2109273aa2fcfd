import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { nanoid } from 'nanoid'
import * as z from 'zod'
import { readConfig } from './disk/config-file.ts'
import { makeFolder } from './disk/durable.ts'
import { engineSchema } from './disk/engine-file.ts'
import { governingRoot, type Layout, layoutOf, realFolder } from './disk/layout.ts'
import { governingLayout } from './disk/permissions.ts'
import { now as systemNow } from './disk/process.ts'
import { userActor, userAuthn } from './disk/user.ts'
import { LockstepError, systemCodeOf } from './errors.ts'
import { runLockReactor } from './files/run-lock/reactor.ts'
import { Reactors } from './files/runner.ts'
import { stagingReactor } from './files/staging/reactor.ts'
import { materialiseReactor } from './files/workspace/reactor.ts'
import { WorkspaceFiles } from './files/workspace/workspace-files.ts'
import type { Now } from './kernel/clock.ts'
import { type Actor, actorSchema, knownAs, type RecordedActor } from './kernel/ids.ts'
import { limits } from './kernel/limits.ts'
import { LocalLedger } from './ledger.ts'
import { MemoryLog, openLog } from './log/engines.ts'
import type { Store } from './log/keyed/store.ts'
import type { Log } from './log/log.ts'
import { signersOf } from './log/signer.ts'
import { appendFirst, createLedger, ledgerExists, newIdentity } from './nouns/create.ts'
import { makeHome, newConfig } from './nouns/home.ts'
import { lockFileReactor } from './nouns/locks/lock-file-reactor.ts'
import type { AcceptedHead } from './nouns/opening.ts'
import { noReactions } from './nouns/parts.ts'
import { SealWatch } from './nouns/seal.ts'
import { recordCleaned } from './nouns/turns/staging.ts'
import { ForkWatch } from './witness/fork.ts'
import { codedError } from './writer/coded-errors.ts'
import { ConfigInForce, configInLog } from './writer/config-in-force.ts'
import { parse } from './writer/parse.ts'
import { SharedTime } from './writer/shared-time.ts'

export interface OpenLedgerOptions {
  /** A folder at or below the root. The innermost ledger governs it. Default: the working directory. */
  dir?: string
  /** The default actor of every call. Default: the user of the operating system, as a human. */
  actor?: Actor
  /**
   * `os`: entries also say which user of the operating system this process runs as, as the entries of commands do. By
   * default they say nothing about it, because a program may act for callers of its own.
   */
  authn?: 'os'
  /**
   * True: create the folder `dir`, if it is missing, and the ledger in it; errors: LEDGER_EXISTS. `if-missing`: do so only
   * if no ledger governs `dir`; otherwise open that ledger.
   */
  create?: boolean | 'if-missing'
  nested?: boolean
  /**
   * With `create`: create the ledger even on a disk without file modes, and record the choice. Without this option
   * such a disk fails with LEDGER_INSECURE.
   */
  accept_permissions?: boolean
  /**
   * With `create`: put a policy in force, as `lockstep init` does: the root's own or else the shipped policy.
   * Default: true. With false, no run starts until `policy.reload()`. Errors: POLICY_INVALID.
   */
  policy?: boolean
  origin?: string
  /**
   * `memory`: a new ledger whose entries are lost when it is closed, for unit tests. Its other files (key,
   * configuration, lock files, workspaces) are in `dir`, by default a temporary folder that is removed at close. `dir`
   * must have no ledger. A connection string (`postgres://…`): the ledger is in a database, and `dir` has this node's
   * files. With `create` it is kept in `.lockstep/engine.json`; otherwise it is used in place of the one there. Default:
   * the engine of the ledger; a new ledger is in files (`level`). If a ledger went from files to a database, `level` opens
   * the files that it left, for reading.
   */
  engine?: 'level' | 'memory' | `postgres://${string}` | `postgresql://${string}`
  /** With `create` or `engine: 'memory'`: members of the first configuration that differ from a new ledger's. */
  config?: Record<string, unknown>
  /** With `engine: 'memory'`, for tests of Lockstep itself: every load answers one turn of the event loop later. */
  delay?: boolean
  /** Seconds to wait while another process has the ledger open. Default: 30. */
  open_wait_s?: number
  /**
   * True: open the ledger as it is now, for reading, whether or not another process has it open. It takes no commands,
   * and its root is not written to. `if-busy`: do so only if another process has the ledger for longer than a command
   * does, or if its files cannot be written. `ledger.isSnapshot` tells them apart.
   */
  snapshot?: boolean | 'if-busy'
  /** The name of this process that other processes see while they wait for the ledger. */
  command?: string
  /** Goes on without the head file, which is missing, and records that (`lockstep verify --accept-missing-head`). */
  accept_missing_head?: AcceptedHead
  /** This process serves the ledger: other processes that open it fail at once with LEDGER_SERVED. Default: false. */
  is_service?: boolean
  /** Injected clock and ids. Default: the clock of the machine, or of the database that has the ledger, and random ids. */
  now?: () => Now
  newLockId?: () => string
  newRunId?: () => string
  /** Before every append, check that the stored bytes read back as the hashed bytes. */
  self_check?: boolean
  /** Wraps the store between the log and LevelDB, so that tests can make writes fail. */
  wrapStore?: (store: Store) => Store
}

/**
 * Opens the ledger that governs a folder, and finishes the steps that the last process left unfinished.
 * Errors: NO_LEDGER, LEDGER_INSECURE, LEDGER_SERVED, LEDGER_UNAVAILABLE (busy), LEDGER_CORRUPT, FORMAT_TOO_NEW, LEDGER_FORMAT,
 * CONFIG_INVALID (only in a ledger that has no configuration in force).
 */
export function openLedger(options: OpenLedgerOptions = {}): Promise<LocalLedger> {
  return open(options).catch((error: unknown) => {
    throw codedError(error, `opening the ledger of ${options.dir ?? process.cwd()}`)
  })
}

async function open(options: OpenLedgerOptions): Promise<LocalLedger> {
  const { dir = process.cwd(), create = false, snapshot = false } = options
  const isKnown = parse(z.literal('os').optional(), options.authn, 'authn') !== undefined
  const actor = knownAs(parse(actorSchema, options.actor ?? userActor(), 'actor'), isKnown ? userAuthn() : undefined)
  if (options.engine === 'memory') return openInMemory(actor, options)
  if (create !== false) await createIn(dir, actor, options)
  const layout = governingLayout(dir)
  const engine = engineOf(options.engine)
  const { isCopy, log } = await openLog({
    engine,
    acceptsMissingHead: options.accept_missing_head !== undefined,
    layout,
    openWaitSeconds: options.open_wait_s ?? limits.openWaitSecondsDefault,
    command: options.command ?? 'library',
    isService: options.is_service ?? false,
    nonce: () => nanoid(12),
    selfCheck: options.self_check ?? false,
    snapshot: snapshot === true ? 'always' : snapshot || undefined,
    wrapStore: options.wrapStore,
  })
  return openOver(log, { actor, isSnapshot: isCopy, layout, options })
}

/** The connection string of a database, or `level`; undefined for the engine of the ledger. Errors: INVALID_INPUT. */
function engineOf(engine: OpenLedgerOptions['engine']): string | undefined {
  return engine === undefined || engine === 'level' ? engine : parse(engineSchema, engine, 'engine')
}

async function openInMemory(actor: RecordedActor, options: OpenLedgerOptions): Promise<LocalLedger> {
  const { delay, policy = true, self_check: selfCheck } = options
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'lockstep-'))
  makeFolder(resolve(dir))
  const layout = layoutOf(realFolder(dir))
  const { home, root } = layout
  try {
    mkdirSync(home, { mode: 0o700 })
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error
    throw ledgerExists(root)
  }
  const closed = () => rmSync(options.dir === undefined ? root : home, { recursive: true, force: true })
  try {
    const identity = newIdentity(options.origin)
    const vkey = await makeHome(home, { config: { ...newConfig, ...options.config }, origin: identity.origin })
    const signers = (log: Log, size: number) => signersOf(log, layout, size)
    const log = await MemoryLog.begin(identity, { closed, delay, selfCheck, signers })
    await appendFirst(log, { actor, home, policy, root, vkey })
    return await openOver(log, { actor, isSnapshot: false, layout, options })
  } catch (error) {
    closed()
    throw error
  }
}

/** What a ledger is opened over, besides its log. */
interface Over {
  actor: RecordedActor
  isSnapshot: boolean
  layout: Layout
  options: OpenLedgerOptions
}

/** Puts the parts of a ledger together and finishes what the last process left unfinished. A snapshot shows that as is. */
export async function openOver(log: Log, { actor, isSnapshot, layout, options }: Over): Promise<LocalLedger> {
  const { now = systemNow } = options
  const sharedTime = options.now ? undefined : log.clock && (await SharedTime.of(log, log.clock, now))
  const { newLockId = () => `lck_${nanoid()}`, newRunId = () => `run_${nanoid()}` } = options
  const { root } = layout
  const config = await configOf(log, layout)
  const workspaceFiles = new WorkspaceFiles(root, config.settings, log)
  const seal = await SealWatch.of(log)
  const forks = new ForkWatch(layout, log.meta.origin)
  const ledger = new LocalLedger({
    actor,
    config,
    forked: () => forks.found(),
    isSnapshot,
    layout,
    log,
    newLockId,
    newRunId,
    now: sharedTime?.now ?? now,
    reactions: (core, deliverables) => {
      if (isSnapshot || seal.isSealed) return noReactions()
      const lockFiles = lockFileReactor(deliverables, core)
      const files = [runLockReactor(log, root, config.settings), lockFiles, materialiseReactor(workspaceFiles)]
      const cleanup = stagingReactor(layout, config.settings, (cleaned, key) => recordCleaned(core, cleaned, key))
      return new Reactors([...files, cleanup], log)
    },
    seal,
    sharedTime,
    workspaceFiles,
  })
  try {
    if (!isSnapshot && !seal.isSealed) await ledger.recover(options.accept_missing_head)
  } catch (error) {
    // The caller gets no ledger to close, and an open ledger cannot be opened again. So it is closed here.
    await ledger.close().catch(() => {})
    throw error
  }
  return ledger
}

/** The configuration in force. A ledger of an older version has none yet, and then its file is read. */
async function configOf(log: Log, { config }: Layout): Promise<ConfigInForce> {
  try {
    const inForce = await configInLog(log)
    return inForce === undefined
      ? new ConfigInForce(readConfig(config).config)
      : new ConfigInForce(inForce.config, inForce)
  } catch (error) {
    await log.close().catch(() => {})
    throw error
  }
}

async function createIn(dir: string, actor: RecordedActor, options: OpenLedgerOptions): Promise<void> {
  const { accept_permissions: acceptPermissions, config, create, nested, origin, policy = true } = options
  makeFolder(resolve(dir))
  if (create === 'if-missing' && governingRoot(dir) !== undefined) return
  try {
    const engine = options.engine === 'level' ? undefined : engineOf(options.engine)
    await createLedger({ acceptPermissions, actor, config, dir, engine, nested, origin, policy })
  } catch (error) {
    const isThere = error instanceof LockstepError && error.code === 'LEDGER_EXISTS'
    // Another process created the ledger at the same moment.
    if (create !== 'if-missing' || !isThere || governingRoot(dir) === undefined) throw error
  }
}
