import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { customAlphabet } from 'nanoid'
import { readConfig } from '../disk/config-file.ts'
import { fileError, syncFolder } from '../disk/durable.ts'
import { governingRoot, homeName, layoutOf, realFolder } from '../disk/layout.ts'
import { adoptTree } from '../disk/ownership.ts'
import { keepsModes } from '../disk/permissions.ts'
import { recordPlace } from '../disk/place.ts'
import { now } from '../disk/process.ts'
import { buildingPrefix, dropProcessFolders, processFolderName } from '../disk/process-folder.ts'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { policyToLoad } from '../files/policy/policy-files.ts'
import { placeShippedPolicy } from '../files/policy/policy-folder.ts'
import { defaultConfig } from '../kernel/config.ts'
import { originSchema, type RecordedActor } from '../kernel/ids.ts'
import { createLog, keepFirstHead } from '../log/engines.ts'
import type { Log, NewMeta } from '../log/log.ts'
import { Receipts } from '../views/receipts.ts'
import { Views } from '../views/views.ts'
import { ConfigInForce } from '../writer/config-in-force.ts'
import { parse } from '../writer/parse.ts'
import { Sequencer } from '../writer/sequencer.ts'
import { type Home, makeHome, newConfig } from './home.ts'

export interface CreateOptions {
  dir: string
  actor: RecordedActor
  /** Members of the first configuration that differ from a new ledger's. Errors: CONFIG_INVALID. */
  config?: Record<string, unknown> | undefined
  /** The connection string of the database that gets the ledger. Default: it is in files. */
  engine?: string | undefined
  /** The name of the ledger's key. Default: `lockstep.local/<ledger_id>`. */
  origin?: string | undefined
  /**
   * Create the ledger even on a disk without file modes, and record that. Otherwise such a disk fails with
   * LEDGER_INSECURE.
   */
  acceptPermissions?: boolean | undefined
  /** Allow a ledger inside or above another ledger. */
  nested?: boolean | undefined
  /** Put the root's policy in force, or the shipped policy if the root has none. Errors: POLICY_INVALID. */
  policy?: boolean | undefined
}

const newLedgerId = customAlphabet('0123456789abcdefghijklmnopqrstuvwxyz', 16)
/** A name for a node of a database, until its operator gives it another. */
export const newNodeName = customAlphabet('0123456789abcdefghijklmnopqrstuvwxyz', 8)
const foldersLookedAtMax = 20_000

/**
 * Creates a ledger: key, configuration, database and entry 0. It is built in a temporary folder and put in place by
 * one rename, so a crash leaves either a complete ledger or none. Errors: LEDGER_EXISTS, INVALID_INPUT, CONFIG_INVALID,
 * FILE_DENIED.
 */
export async function createLedger({
  dir,
  actor,
  config,
  engine,
  origin,
  nested = false,
  policy = false,
  acceptPermissions = false,
}: CreateOptions): Promise<void> {
  const identity = newIdentity(origin)
  await placeHome(dir, { acceptPermissions, name: identity.ledger_id, nested }, (building, withoutModes) =>
    build(building, { actor, config, engine, identity, policy, root: realFolder(dir), withoutModes }),
  )
}

/** Where a home folder is placed, and under which conditions. `name` tells two builds of one process apart. */
export interface Placing extends Pick<CreateOptions, 'acceptPermissions' | 'nested'> {
  name: string
}

/**
 * Makes the home folder of a ledger beside its place, and puts it in place by one rename once it is complete. After a
 * crash either all of it is there or nothing. Errors: LEDGER_EXISTS, LEDGER_INSECURE, NOT_FOUND (no such folder), those
 * of `build`.
 */
export async function placeHome<T>(
  dir: string,
  { acceptPermissions = false, name, nested = false }: Placing,
  build: (building: string, withoutModes: boolean) => Promise<T>,
): Promise<T> {
  const root = realFolder(dir)
  refuseOverlap(root, nested)
  const building = join(root, processFolderName(buildingPrefix, name))
  dropProcessFolders(root, buildingPrefix)
  try {
    mkdirSync(building, { mode: 0o700 })
    chmodSync(building, 0o700)
    const withoutModes = !keepsModes(building)
    if (withoutModes && !acceptPermissions) throw noModes(root)
    const built = await build(building, withoutModes)
    await recordPlace(building)
    adoptTree(building)
    renameSync(building, join(root, homeName))
    syncFolder(root)
    return built
  } catch (error) {
    rmSync(building, { recursive: true, force: true })
    if (['ENOTEMPTY', 'EEXIST'].includes(systemCodeOf(error) ?? '')) throw ledgerExists(root)
    throw fileError(error, `creating a ledger in ${root}`)
  }
}

/** A new ledger's id, and its name: the requested one or the default. Errors: INVALID_INPUT. */
export function newIdentity(origin: string | undefined): NewMeta {
  const ledger_id = newLedgerId()
  return { ledger_id, origin: parse(originSchema, origin ?? `lockstep.local/${ledger_id}`, 'origin') }
}

interface Built {
  actor: RecordedActor
  policy: boolean
  root: string
}

interface Created extends Pick<CreateOptions, 'engine'> {
  identity: NewMeta
}

async function build(
  home: string,
  { config, engine, identity, withoutModes, ...built }: Built & Omit<Home, 'origin'> & Created,
) {
  const vkey = await makeHome(home, { config: { ...newConfig, ...config }, origin: identity.origin, withoutModes })
  const layout = layoutOf(built.root, home)
  const fill = (log: Log) => appendFirst(log, { ...built, home, vkey }).then(() => keepFirstHead(log, layout))
  const file = engine === undefined ? undefined : { engine, ledger_id: identity.ledger_id, node: newNodeName() }
  await createLog(layout, identity, { file, fill })
  syncFolder(home)
}

/**
 * Writes the shipped policy files, unless the root has its own, and appends entry 0, and the policy entry if a policy is
 * to be in force. Entry 0 puts the configuration in force. Errors: CONFIG_INVALID, POLICY_INVALID.
 */
export async function appendFirst(
  log: Log,
  { actor, home, policy, root, vkey }: Built & { home: string; vkey: string },
): Promise<void> {
  const layout = layoutOf(root, home)
  await placeShippedPolicy(layout)
  const { config, sha256, text } = readConfig(join(home, 'config.json'))
  const sequencer = bareSequencer(log)
  const { format, ledger_id, origin } = log.meta
  const data = { config_sha256: sha256, format, ledger_id, origin, vkey }
  await sequencer.submit({ command: { type: 'ledger.create', config: text, data }, actor })
  if (policy) {
    const { command } = await policyToLoad(layout, config.promotion_roles)
    await sequencer.submit({ command, actor })
  }
  await sequencer.close()
}

/** A sequencer of a log whose ledger is not open: nothing reacts to its entries. */
export function bareSequencer(log: Log): Sequencer {
  return new Sequencer({
    log,
    views: new Views(log),
    receipts: new Receipts(log),
    config: new ConfigInForce(defaultConfig),
    forked: () => undefined,
    now,
    cursors: () => log.head().cursors,
    published: () => {},
  })
}

/**
 * Each folder has one governing ledger. So no ledger may be above, in or below the root, unless `nested` allows it.
 * Errors: LEDGER_EXISTS.
 */
export function refuseOverlap(root: string, nested: boolean): void {
  const above = governingRoot(root)
  if (above === root) throw ledgerExists(root)
  if (nested) return
  const other = above ?? findBelow(root)
  if (other === undefined) return
  throw new LockstepError(
    'LEDGER_EXISTS',
    `${other} has a ledger, ${above === undefined ? 'below' : 'above'} ${root}`,
    {
      details: { dir: root, other },
      hint: 'The innermost ledger governs a folder. To nest ledgers on purpose, set `nested`.',
    },
  )
}

/** LEDGER_INSECURE for a disk without file modes. */
export function noModes(root: string): LockstepError {
  return new LockstepError(
    'LEDGER_INSECURE',
    `the disk of ${root} does not keep file modes, so other users could change the ledger`,
    {
      details: { dir: root },
      hint: 'Choose a folder on another disk, or if no other user can reach this one, set `accept_permissions`.',
    },
  )
}

/** LEDGER_EXISTS for a root that has a ledger. */
export function ledgerExists(root: string): LockstepError {
  return new LockstepError('LEDGER_EXISTS', `${root} already has a ledger`, { details: { dir: root } })
}

/** The first ledger found below a folder, breadth first. It looks at a limited number of folders. */
function findBelow(root: string): string | undefined {
  const folders = [root]
  for (let at = 0; at < folders.length && at < foldersLookedAtMax; at += 1) {
    for (const name of subfoldersOf(folders[at] ?? '')) {
      if (name === homeName) return folders[at]
      if (name !== '.git' && name !== 'node_modules' && !name.startsWith(buildingPrefix)) {
        folders.push(join(folders[at] ?? '', name))
      }
    }
  }
  return undefined
}

function subfoldersOf(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true })
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  } catch {
    return []
  }
}
