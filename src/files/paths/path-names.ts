import { dirname, isAbsolute, join, sep } from 'node:path'
import { homeName } from '../../disk/layout.ts'
import type { Worktree } from '../../disk/worktree.ts'
import { isTree, isWithin, type Path, pathAt, placeAbove, placeOf } from '../../domain/lock/paths/path.ts'
import { byBytes, foldOf } from '../../domain/turn/stem.ts'
import { LockstepError } from '../../errors.ts'
import { lineOf } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { realPathOf, seenAt, surroundingsOf } from './real-path.ts'

/** The ledger for which paths are named. `isSeen` is false for a caller on another machine, whose files are not here. */
export interface PathPlace {
  root: string
  /** Whether the disk of the root ignores case in names. */
  ignoresCase: boolean
  isSeen: boolean
}

/** The paths in normal form and in order, and the top of the worktree that they lie in. */
export interface NamedPaths {
  paths: Path[]
  worktree?: string
}

/**
 * The normal form of paths: relative to the top of the worktree, links resolved, in NFC, and folded if the disk ignores
 * case. A relative path is one below the root. A path that does not exist yet is a file, unless it ends in `/`. A link is
 * locked together with its target. Paths that are not seen must be relative, and no links are resolved in them.
 * Errors: INVALID_INPUT (a pattern, or not the name of a lock), LOCK_PLACEMENT, FILE_DENIED.
 */
export function namedPaths(texts: readonly string[], place: PathPlace): NamedPaths {
  const found = texts.flatMap((text) => (place.isSeen ? seenPaths(text, place) : [unseenPath(text, place)]))
  const [worktree, other] = [...new Set(found.flatMap(({ top }) => top ?? []))]
  if (other !== undefined) {
    throw misplaced(
      `the paths lie in two worktrees, ${worktree} and ${other}`,
      'Lock the paths of one worktree at once.',
    )
  }
  const paths = withoutCovered(found.map(({ path }) => path))
  return worktree === undefined ? { paths } : { paths, worktree }
}

/** The paths in the order of their UTF-8, without those that another of them covers. */
function withoutCovered(paths: readonly Path[]): Path[] {
  const trees = paths.filter(isTree)
  const isCovered = (path: Path) => trees.some((tree) => tree !== path && isWithin(path, tree))
  return [...new Set(paths)].filter((path) => !isCovered(path)).sort(byBytes)
}

interface Found {
  path: Path
  top?: string | undefined
}

function seenPaths(text: string, place: PathPlace): Found[] {
  const absolute = isAbsolute(text) ? text : `${place.root}${sep}${text}`
  if (isPattern(text) && seenAt(absolute) === undefined) throw notAFile(text)
  const { link, ...target } = realPathOf(absolute)
  const isFolder = target.isFolder || endsAsFolder(text)
  // With a slash at its end, a link stands for the folder that it leads to.
  if (link === undefined || endsAsFolder(text)) return [placed({ ...target, isFolder }, place)]
  const found = [placed({ isFolder: false, real: link }, place)]
  // A target outside of the root has no lock here.
  const { governing } = surroundingsOf(dirname(target.real))
  if (governing === place.root) found.push(placed({ ...target, isFolder }, place))
  return found
}

/** The path of a file or folder of this machine. Errors: LOCK_PLACEMENT, INVALID_INPUT. */
function placed({ isFolder, real }: { isFolder: boolean; real: string }, place: PathPlace): Found {
  const { governing, worktree } = surroundingsOf(isFolder ? real : dirname(real))
  if (governing !== place.root) {
    const hint =
      governing === undefined
        ? 'Only paths below the root, and in worktrees of its repository, can be locked.'
        : `The ledger of ${governing} governs it: name that folder in \`dir\`.`
    throw misplaced(`${real} is not governed by the ledger of ${place.root}`, hint)
  }
  const below = partBelow(inMainWorktree(real, place.root, worktree), place)
  if (below === undefined) throw misplaced(`${real} is outside ${place.root} in its worktree`)
  return { path: pathFrom(below, isFolder, real), top: worktree?.top }
}

/** A path in a linked worktree stands for the same path in the main worktree, unless it has a ledger of its own. */
function inMainWorktree(real: string, root: string, worktree: Worktree | undefined): string {
  if (!worktree?.isLinked || isAtOrBelow(root, worktree.top)) return real
  return join(worktree.main ?? root, real.slice(worktree.top.length))
}

function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
}

/** The part of a path below the root, in normal form; undefined outside of it. */
function partBelow(path: string, { ignoresCase, root }: PathPlace): string | undefined {
  const normal = (text: string) => (ignoresCase ? foldOf(text.normalize('NFC')) : text).normalize('NFC')
  const [whole, top] = [normal(path), normal(root)]
  return isAtOrBelow(whole, top) ? whole.slice(top.length) : undefined
}

/** Errors: INVALID_INPUT, LOCK_PLACEMENT (in the ledger's own folder). */
function pathFrom(below: string, isFolder: boolean, shown: string): Path {
  const segments = below.split(sep).filter((segment) => segment !== '')
  if (segments.some((segment) => segment.toLowerCase() === homeName)) {
    throw misplaced(`${shown} is in the ledger’s own folder`)
  }
  const path = pathAt(segments.join('/'), isFolder || segments.length === 0)
  const problem = pathText.safeParse(path).error?.issues[0]?.message
  if (problem === undefined) return path
  throw new LockstepError('INVALID_INPUT', `paths: "${shown}" ${problem}`, {
    details: { path },
    hint: `Lock a subtree above it, such as ${fittingAbove(path)}.`,
  })
}

const pathText = lineOf(limits.lockPathBytes)

/** The nearest subtree above a path that can be locked. */
function fittingAbove(path: Path): Path {
  let place = placeAbove(placeOf(path))
  while (!pathText.safeParse(pathAt(place, true)).success) place = placeAbove(place)
  return pathAt(place, true)
}

/** The path as another machine named it. Errors: INVALID_INPUT, LOCK_PLACEMENT. */
function unseenPath(text: string, place: PathPlace): Found {
  if (isPattern(text)) throw notAFile(text)
  if (text.startsWith('/')) throw misplaced(`${text} is absolute`, 'Name a path below the top of the repository.')
  const segments: string[] = []
  for (const segment of text.split('/')) {
    if (segment === '..' && segments.pop() === undefined) throw misplaced(`${text} leads out of the repository`)
    if (segment !== '..' && segment !== '.' && segment !== '') segments.push(segment)
  }
  const below = partBelow([place.root, ...segments].join(sep), place) ?? ''
  return { path: pathFrom(below, endsAsFolder(text), text) }
}

/** A path that names a folder by its form alone. */
function endsAsFolder(text: string): boolean {
  return /(?:^|[/\\])\.{0,2}$/.test(sep === '\\' ? text : text.replaceAll('\\', '_'))
}

/** Whether a text looks like a pattern of a shell. Brackets do not count, because frameworks use them in file names. */
function isPattern(text: string): boolean {
  return /[*?]/.test(text)
}

function notAFile(text: string): LockstepError {
  const before = text.slice(0, text.search(/[*?]/))
  const subtree = before.slice(0, before.lastIndexOf('/') + 1) || './'
  return new LockstepError('INVALID_INPUT', `paths: "${text}" is a pattern, but locks take files and subtrees`, {
    details: { path: text, subtree },
    hint: `Lock the subtree ${subtree} instead.`,
  })
}

function misplaced(message: string, hint?: string): LockstepError {
  return new LockstepError('LOCK_PLACEMENT', message, { hint })
}
