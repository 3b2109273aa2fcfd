import { lstatSync, readlinkSync, realpathSync, type Stats } from 'node:fs'
import { basename, dirname, isAbsolute, join, parse, sep } from 'node:path'
import { fileError } from '../../disk/durable.ts'
import { ledgerAbove } from '../../disk/layout.ts'
import { type Worktree, worktreeAround } from '../../disk/worktree.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'

/** A path with its links resolved. `link` is the path itself, if it is a link. */
export interface RealPath {
  isFolder: boolean
  link?: string
  real: string
}

/**
 * Resolves the links in an absolute path, whose end need not exist. Errors: INVALID_INPUT (too many links), FILE_DENIED.
 * Cost: one look at the path if its folder exists.
 */
export function realPathOf(absolute: string): RealPath {
  const folder = realFolderOf(absolute)
  if (folder === undefined) return followed(absolute)
  const real = join(folder, basename(absolute))
  const found = seenAt(real)
  return found?.isSymbolicLink() ? followed(absolute) : { isFolder: found?.isDirectory() === true, real }
}

/** The real path of the folder of a path; undefined if it has to be found step by step. */
function realFolderOf(absolute: string): string | undefined {
  if (/(?:^|[/\\])\.{0,2}$/.test(absolute)) return undefined
  try {
    return realpathSync.native(dirname(absolute))
  } catch {
    return undefined
  }
}

const linksMax = 40

function followed(absolute: string): RealPath {
  const { root } = parse(absolute)
  const pending = segmentsOf(absolute.slice(root.length))
  let real = root
  let link: string | undefined
  for (let links = 0; ; ) {
    const segment = pending.shift()
    if (segment === undefined) break
    const next = segment === '..' ? dirname(real) : join(real, segment)
    const target = segment === '..' ? undefined : targetOf(next)
    if (target === undefined) {
      real = next
      continue
    }
    links += 1
    if (links > linksMax) throw new LockstepError('INVALID_INPUT', `${absolute} leads through too many links`)
    if (pending.length === 0) link ??= next
    if (isAbsolute(target)) real = parse(target).root
    pending.unshift(...segmentsOf(isAbsolute(target) ? target.slice(real.length) : target))
  }
  const isFolder = seenAt(real)?.isDirectory() === true
  return link === undefined ? { isFolder, real } : { isFolder, link, real }
}

function segmentsOf(path: string): string[] {
  return path.split(sep === '\\' ? /[\\/]/ : '/').filter((segment) => segment !== '' && segment !== '.')
}

/** Where a link leads; undefined if it is none, or does not exist. Errors: FILE_DENIED. */
function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (['EINVAL', 'UNKNOWN', ...absent].includes(systemCodeOf(error) ?? '')) return undefined
    throw fileError(error, `resolving ${path}`)
  }
}

/** What is at a path; undefined if nothing is. Errors: FILE_DENIED. */
export function seenAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    if (absent.includes(systemCodeOf(error) ?? '')) return undefined
    throw fileError(error, `looking at ${path}`)
  }
}

/** A name that is too long for the disk cannot be there either. */
const absent = ['ENOENT', 'ENOTDIR', 'ENAMETOOLONG']

/** The innermost ledger and the worktree around a folder. */
export interface Surroundings {
  governing: string | undefined
  worktree: Worktree | undefined
}

/** What was found lately. Ledgers and worktrees appear rarely, and an agent edits many files of a folder. */
const known = new Map<string, { found: Surroundings; until: number }>()
const knownMillis = 1_000

/** The ledger that governs a folder, which need not exist, and the worktree that it lies in. */
export function surroundingsOf(folder: string): Surroundings {
  const before = known.get(folder)
  if (before !== undefined && performance.now() < before.until) return before.found
  const worktree = worktreeAround(folder)
  const above = ledgerAbove(folder)
  const found = { governing: above ?? (worktree?.main && ledgerAbove(worktree.main)), worktree }
  if (known.size >= limits.surroundingsMax) known.clear()
  known.set(folder, { found, until: performance.now() + knownMillis })
  return found
}
