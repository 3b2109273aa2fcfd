import { lstatSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, isAbsence, makeFolder, syncFolder } from '../../disk/durable.ts'
import { adopt } from '../../disk/ownership.ts'
import { bytesOfDescriptor, openFlags } from '../../disk/regular-file.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'
import { folderMode, TreeBuild, type TreeChange } from './build.ts'
import { rememberSpare, spareName, spareOf } from './spare.ts'

// A workspace on disk (ADR 0021). `current` is a symbolic link to a tree, and no tree changes while it points there.
//
//   <folder>/current -> .trees/812.0
//   <folder>/pins/<name>/        what was promoted when a turn was pinned; never changes
//   <folder>/.trees/812.0/       what is promoted, as of entry 812
//   <folder>/.trees/790.0/       the previous tree, which becomes the next one
//   <folder>/.trees/spare.json   the paths in it that differ from the current tree
//   <folder>/.trees/building/    a tree that is being built, or that a crash left

const currentName = 'current'
const treesName = '.trees'
const buildingName = 'building'
const pinsName = 'pins'
const treeName = /^\d+\.\d+$/

export interface Tree {
  name: string
  path: string
  /** The seq of the last entry that the tree includes. */
  seq: number
}

export interface NextTree {
  seq: number
  /** Whether the changes contain all files. No file of the previous tree is then kept. */
  isWhole: boolean
  changes: AsyncIterable<TreeChange> | Iterable<TreeChange>
}

/**
 * The tree that `current` points to, or undefined.
 * Errors: FILE_FAILED if something else is in the place of one of our files.
 */
export function currentTree(folder: string): Tree | undefined {
  const [place, trees] = [join(folder, currentName), join(folder, treesName)]
  let target: string
  try {
    if (lstatSync(trees, { throwIfNoEntry: false })?.isDirectory() === false) throw inTheWay(`${trees} is not a folder`)
    target = readlinkSync(place)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw systemCodeOf(error) === 'EINVAL'
      ? inTheWay(`${place} is not a symbolic link`)
      : fileError(error, `reading ${place}`)
  }
  const name = target.slice(treesName.length + 1)
  const isTree = target === `${treesName}/${name}` && treeName.test(name) && namesIn(folder).includes(name)
  return isTree ? { name, path: join(folder, treesName, name), seq: Number.parseInt(name, 10) } : undefined
}

function inTheWay(message: string): LockstepError {
  return new LockstepError('FILE_FAILED', message, {
    hint: 'Move it away. The workspace will then be built again from the ledger.',
  })
}

/** The folders that workspaces have below the folder of all workspaces. Errors: FILE_DENIED, FILE_FAILED. */
export function workspaceFolders(above: string): string[] {
  return ['run', 'workflow'].flatMap((kind) => {
    try {
      const entries = readdirSync(join(above, kind), { withFileTypes: true })
      return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(above, kind, name))
    } catch (error) {
      if (isAbsence(error)) return []
      throw fileError(error, `reading ${join(above, kind)}`)
    }
  })
}

/**
 * The bytes of a file in a tree. Undefined if something that cannot be a turn's file took its place.
 * Errors: those of the system.
 */
export async function bytesInTree(tree: string, path: string): Promise<Buffer | undefined> {
  const handle = await open(join(tree, path), openFlags)
  try {
    const read = bytesOfDescriptor(handle.fd, limits.turnBytes)
    return 'bytes' in read ? read.bytes : undefined
  } finally {
    await handle.close()
  }
}

/**
 * Builds the next tree and makes it current; the result is durable before this resolves. The current tree does not
 * change until a single rename, so a crash leaves either the old tree or the new one. Unchanged files are hard links.
 * Only one build of a folder may run at a time.
 * Errors: FILE_DENIED, FILE_READ_ONLY, DISK_FULL, FILE_FAILED.
 * Cost: with a spare tree, the changes of this switch and the previous one; otherwise one link per file. In addition,
 * one sync for each written file and changed folder, and four more.
 */
export async function switchTree(folder: string, { changes, isWhole, seq }: NextTree): Promise<void> {
  const trees = join(folder, treesName)
  const building = join(trees, buildingName)
  try {
    const current = currentTree(folder)
    makeFolder(trees)
    const spare = current === undefined || isWhole ? undefined : spareOf(trees, current.name)
    await rm(building, { recursive: true, force: true })
    const tree = new TreeBuild(building)
    if (current !== undefined && spare !== undefined) {
      takeSpare(trees, spare.name)
      await tree.linkAgain(current.path, spare.stale)
    } else {
      mkdirSync(building, { mode: folderMode })
      adopt(building)
      if (current !== undefined && !isWhole) await tree.linkAll(current.path)
    }
    await tree.change(changes)
    await tree.sync()
    const name = freeName(folder, seq)
    renameSync(building, join(trees, name))
    syncFolder(trees)
    // The new tree is durable but not visible. After a crash, the old tree is current, and the new one is removed.
    pointTo(folder, name)
    // The new tree is current. After a crash, the old tree is still beside it, and the next build removes it.
    const isSpare =
      current !== undefined &&
      !isWhole &&
      rememberSpare(trees, { current: name, spare: current.name, stale: tree.changed })
    await dropOthers(folder, isSpare ? [name, current.name] : [name])
  } catch (error) {
    throw fileError(error, `building ${folder}`)
  }
}

/** The folder of a pin. Unlike a tree, nothing in it ever changes. */
export function pinFolder(folder: string, name: string): string {
  return join(folder, pinsName, name)
}

/**
 * Writes the tree of a pin, unless it is there; durable when this resolves. With `isAgain` it takes the place of the
 * tree that is there. A crash leaves the whole tree or none. Errors: see `switchTree`. Cost: one file and sync for each
 * file of the workspace.
 */
export async function writePin(
  folder: string,
  name: string,
  { files, isAgain = false }: { files: AsyncIterable<TreeChange>; isAgain?: boolean },
): Promise<void> {
  const [place, building] = [pinFolder(folder, name), join(folder, treesName, buildingName)]
  try {
    const isThere = lstatSync(place, { throwIfNoEntry: false }) !== undefined
    if (isThere && !isAgain) return
    for (const above of [join(folder, treesName), join(folder, pinsName)]) makeFolder(above)
    await rm(building, { recursive: true, force: true })
    mkdirSync(building, { mode: folderMode })
    adopt(building)
    const tree = new TreeBuild(building)
    await tree.change(files)
    await tree.sync()
    if (isThere) await rm(place, { recursive: true, force: true })
    renameSync(building, place)
    syncFolder(join(folder, pinsName))
  } catch (error) {
    throw fileError(error, `building ${place}`)
  }
}

/** Removes the tree of a pin, durably. */
export async function removePin(folder: string, name: string): Promise<void> {
  const place = pinFolder(folder, name)
  try {
    if (lstatSync(place, { throwIfNoEntry: false }) === undefined) return
    await rm(place, { recursive: true, force: true })
    syncFolder(join(folder, pinsName))
  } catch (error) {
    throw fileError(error, `removing ${place}`)
  }
}

/**
 * Removes the leftovers of a crash: everything except the current tree and its spare. If no tree is current, nothing is
 * removed, because the files may be the only copy until there is a new tree.
 */
export async function dropLeftovers(folder: string): Promise<void> {
  const current = currentTree(folder)
  if (current === undefined) return
  const spare = spareOf(join(folder, treesName), current.name)
  await dropOthers(folder, spare === undefined ? [current.name] : [current.name, spare.name]).catch(
    (error: unknown) => {
      throw fileError(error, `clearing ${folder}`)
    },
  )
}

/** Removes every tree except the current one. Earlier trees can have texts that were erased since. */
export async function dropEarlier(folder: string): Promise<void> {
  const current = currentTree(folder)
  if (current === undefined) return
  await dropOthers(folder, [current.name])
  syncFolder(join(folder, treesName))
}

/** Renames the spare tree to a name that nothing trusts, before its content changes. */
function takeSpare(trees: string, name: string): void {
  renameSync(join(trees, name), join(trees, buildingName))
  syncFolder(trees)
}

/** The commit point: a single rename of a symbolic link, made durable. */
function pointTo(folder: string, name: string): void {
  const beside = join(folder, `${currentName}.tmp`)
  rmSync(beside, { force: true })
  symlinkSync(`${treesName}/${name}`, beside)
  adopt(beside)
  renameSync(beside, join(folder, currentName))
  syncFolder(folder)
}

async function dropOthers(folder: string, kept: readonly string[]): Promise<void> {
  const trees = join(folder, treesName)
  for (const name of readdirSync(trees)) {
    const isOurs = treeName.test(name) || name === buildingName || name.startsWith(`${spareName}.`)
    if (isOurs && !kept.includes(name)) await rm(join(trees, name), { recursive: true, force: true })
  }
  rmSync(join(folder, `${currentName}.tmp`), { force: true })
}

/** The same seq can be built again, if its tree is damaged or a crash left it before it was current. */
function freeName(folder: string, seq: number): string {
  const counts = namesIn(folder).map((name) => name.split('.'))
  const last = Math.max(-1, ...counts.flatMap(([of, count]) => (of === String(seq) ? [Number(count)] : [])))
  return `${seq}.${last + 1}`
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(join(folder, treesName))
  } catch {
    return []
  }
}
