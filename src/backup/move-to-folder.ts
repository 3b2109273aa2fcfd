import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { nanoid } from 'nanoid'
import { fileError, makeFolder, syncFolder, writeDurably } from '../disk/durable.ts'
import { findRoot, homeName, type Layout, layoutOf, realFolder } from '../disk/layout.ts'
import { adoptTree } from '../disk/ownership.ts'
import { areModesAccepted, governingLayout, keepsModes } from '../disk/permissions.ts'
import { recordPlace } from '../disk/place.ts'
import { LockstepError } from '../errors.ts'
import { metaKey } from '../log/keyed/rows/keys.ts'
import { fingerprint } from '../log/level/files.ts'
import { keepFirstHead } from '../log/level/first-head.ts'
import { LevelLog } from '../log/level/level-log.ts'
import { openLog } from '../log/level/open/open.ts'
import { writeOwner } from '../log/level/owner/owner.ts'
import { openStore } from '../log/level/store.ts'
import type { Log } from '../log/log.ts'
import { noModes, refuseOverlap } from '../nouns/create.ts'
import { SealWatch } from '../nouns/seal.ts'
import { type MoveTarget, newPlace } from './move.ts'

/** The name of a home folder while a ledger is moved to it. It stays until the move is complete. */
const movingName = `${homeName}.moving`

/**
 * A folder that a ledger is moved to. A folder that the ledger had left is opened as such, checked against its own head,
 * and extended; its last seal keeps every command out meanwhile. In any other folder the home folder has another name
 * until it is complete. The key, the configuration and the policy come from the layout `from`. Errors: LEDGER_EXISTS,
 * LEDGER_INSECURE, FILE_DENIED.
 */
export function folderTarget(dir: string, from: Layout, { nested = false }: { nested?: boolean } = {}): MoveTarget {
  makeFolder(resolve(dir))
  const root = realFolder(dir)
  if (findRoot(root) === root) return leftFolder(governingLayout(root), from)
  refuseOverlap(root, nested)
  return newFolder(root, from)
}

function leftFolder(layout: Layout, from: Layout): MoveTarget {
  let log: LevelLog | undefined
  const close = async () => {
    const open = log
    log = undefined
    await open?.close()
  }
  return {
    receive: async (meta) => {
      log = await openLog({ layout, openWaitSeconds: 0, command: 'lockstep migrate', nonce: () => nanoid(12) })
      const { ledger_id, place } = log.meta
      if (ledger_id !== meta.ledger_id) throw otherLedger(layout.root, ledger_id)
      if (place !== undefined) return log
      if (!(await SealWatch.of(log)).isSealed) throw neverLeft(layout.root)
      await log.rename({ ...log.meta, place: newPlace('leveldb') })
      return log
    },
    rename: async (meta) => log?.rename(meta),
    complete: async () => {
      await copyHome(from, layout)
      await log?.sign(log.head().size)
      await close()
    },
    close,
  }
}

function newFolder(root: string, from: Layout): MoveTarget {
  const moving = join(root, movingName)
  const layout = layoutOf(root, moving)
  let log: LevelLog | undefined
  const close = async () => {
    const open = log
    log = undefined
    await open?.close()
  }
  return {
    receive: async (meta) => {
      try {
        for (const folder of [moving, layout.ledger]) makeFolder(folder, 0o700)
        if (!keepsModes(moving) && !areModesAccepted(from)) throw noModes(root)
        const store = await openStore(layout.ledger, { create: !existsSync(join(layout.ledger, 'CURRENT')) })
        const isBegun = store.get(metaKey) !== undefined
        log = isBegun ? LevelLog.open(store) : await LevelLog.create(store, { ...meta, place: newPlace('leveldb') })
      } catch (error) {
        throw fileError(error, `moving the ledger to ${root}`)
      }
      if (log.meta.ledger_id !== meta.ledger_id) throw otherLedger(moving, log.meta.ledger_id)
      return log
    },
    rename: async (meta) => log?.rename(meta),
    complete: async () => {
      await copyHome(from, layout)
      for (const folder of ['evidence', 'claims']) makeFolder(join(moving, folder), 0o700)
      await keepFirstHead(log as Log, layout)
      await close()
      writeOwner(layout.owner, { state: 'closed', files: fingerprint(layout.ledger) })
      await recordPlace(moving)
      adoptTree(moving)
      for (const folder of [layout.ledger, moving]) syncFolder(folder)
      renameSync(moving, join(root, homeName))
      syncFolder(root)
    },
    close,
  }
}

/** What belongs to the ledger beside its database. Files that only concern a machine or a process stay behind. */
const moved = ['config.json', 'cosigned', 'forked', 'guard.secret', 'key', 'key.next', 'key.pub', 'policy']

async function copyHome({ home: from }: Layout, { home: to }: Layout): Promise<void> {
  if (from === to) return
  try {
    for (const name of moved) await copyTree(join(from, name), join(to, name))
    syncFolder(to)
  } catch (error) {
    throw fileError(error, `copying the files of ${from}`)
  }
}

/** Makes a file or a folder what it is in another place; nothing, if it is not there. */
async function copyTree(from: string, to: string): Promise<void> {
  const stat = statSync(from, { throwIfNoEntry: false })
  if (stat?.isFile()) {
    await writeDurably(to, readFileSync(from), stat.mode & 0o777)
    return
  }
  rmSync(to, { force: true, recursive: true })
  if (stat === undefined) return
  mkdirSync(to, { mode: 0o700 })
  for (const name of readdirSync(from)) await copyTree(join(from, name), join(to, name))
  syncFolder(to)
}

function neverLeft(root: string): LockstepError {
  return new LockstepError('LEDGER_EXISTS', `the ledger in ${root} goes on there`, { details: { dir: root } })
}

function otherLedger(where: string, ledger_id: string): LockstepError {
  return new LockstepError('LEDGER_EXISTS', `${where} has another ledger, ${ledger_id}`, { details: { ledger_id } })
}
