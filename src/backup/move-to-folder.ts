import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { nanoid } from 'nanoid'
import { fileError, isThere, makeFolder, syncFolder, writeDurably } from '../disk/durable.ts'
import { readEngineFile } from '../disk/engine-file.ts'
import { findRoot, homeName, type Layout, layoutOf, realFolder } from '../disk/layout.ts'
import { adoptTree } from '../disk/ownership.ts'
import { areModesAccepted, governingLayout, keepsModes } from '../disk/permissions.ts'
import { recordPlace } from '../disk/place.ts'
import { LockstepError } from '../errors.ts'
import { leftLayout } from '../log/engines.ts'
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
 * until it is complete. The key, the configuration and the policy come from the layout `from`. The own folder of a ledger
 * in a database has no database of its own until the engine file is removed. Errors: LEDGER_EXISTS, LEDGER_INSECURE,
 * FILE_DENIED.
 */
export function folderTarget(dir: string, from: Layout, { nested = false }: { nested?: boolean } = {}): MoveTarget {
  makeFolder(resolve(dir))
  const root = realFolder(dir)
  if (root === from.root) return ownFolder(from)
  if (findRoot(root) === root) return leftFolder(governingLayout(root), from)
  refuseOverlap(root, nested)
  return newFolder(layoutOf(root, join(root, movingName)), from, async (layout) => {
    await recordPlace(layout.home)
    adoptTree(layout.home)
    for (const folder of [layout.ledger, layout.home]) syncFolder(folder)
    renameSync(layout.home, join(root, homeName))
    syncFolder(root)
  })
}

/** Back from a database into the folder of this node. Before the engine file is removed, nothing opens the files. */
function ownFolder(from: Layout): MoveTarget {
  if (readEngineFile(from) === undefined) throw neverLeft(from.root)
  const layout = leftLayout(from)
  const returned = async () => {
    adoptTree(layout.ledger)
    await writeDurably(from.head, readFileSync(layout.head))
    rmSync(from.engine)
    syncFolder(from.home)
    rmSync(layout.head, { force: true })
  }
  if (!isThere(layout.head)) return newFolder(layout, from, returned)
  const target = leftFolder(layout, from)
  return { ...target, complete: (cursors) => target.complete(cursors).then(returned) }
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

function newFolder(layout: Layout, from: Layout, completed: (layout: Layout) => Promise<void>): MoveTarget {
  const { home, ledger, root } = layout
  let log: LevelLog | undefined
  const close = async () => {
    const open = log
    log = undefined
    await open?.close()
  }
  return {
    receive: async (meta) => {
      try {
        for (const folder of [home, ledger]) makeFolder(folder, 0o700)
        if (!keepsModes(home) && !areModesAccepted(from)) throw noModes(root)
        const store = await openStore(ledger, { create: !isThere(join(ledger, 'CURRENT')) })
        const isBegun = store.get(metaKey) !== undefined
        log = isBegun ? LevelLog.open(store) : await LevelLog.create(store, { ...meta, place: newPlace('leveldb') })
      } catch (error) {
        throw fileError(error, `moving the ledger to ${root}`)
      }
      if (log.meta.ledger_id !== meta.ledger_id) throw otherLedger(home, log.meta.ledger_id)
      return log
    },
    rename: async (meta) => log?.rename(meta),
    complete: async () => {
      await copyHome(from, layout)
      for (const folder of ['evidence', 'claims']) makeFolder(join(home, folder), 0o700)
      await keepFirstHead(log as Log, layout)
      await close()
      writeOwner(layout.owner, { state: 'closed', files: fingerprint(ledger) })
      await completed(layout)
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
