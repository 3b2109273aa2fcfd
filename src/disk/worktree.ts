import { lstatSync, realpathSync, type Stats } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { readTextFile } from './regular-file.ts'

/**
 * A Git worktree, and the folder of its repository. `main` is the top of the main worktree of a linked one; undefined if
 * the repository is bare.
 */
export interface Worktree {
  repository: string
  top: string
  isLinked: boolean
  main: string | undefined
}

/**
 * The worktree whose top is this folder; undefined if it has no `.git`. No Git process is needed: `.git` of a linked
 * worktree names its folder in the repository, and `commondir` there names the repository. A `.git` that the repository
 * does not know is ignored, so that a stray file cannot lead to another ledger.
 */
function worktreeOf(top: string): Worktree | undefined {
  const git = join(top, '.git')
  const found = entryAt(git)
  if (found?.isDirectory()) return { isLinked: false, main: undefined, repository: git, top }
  if (!found?.isFile()) return undefined
  const [, named] = /^gitdir: (.+?)\s*$/.exec(textOf(git)) ?? []
  const own = named === undefined ? undefined : resolve(top, named)
  const common = own === undefined ? '' : textOf(join(own, 'commondir')).trim()
  // A submodule has no `commondir`: its files are part of the repository around it.
  if (own === undefined || common === '') return undefined
  if (!isSamePlace(textOf(join(own, 'gitdir')).trim(), git)) return undefined
  const repository = resolve(own, common)
  const main = basename(repository) === '.git' ? realOf(dirname(repository)) : undefined
  return { isLinked: true, main, repository, top }
}

/** The worktree that a folder lies in; undefined outside of all. */
export function worktreeAround(folder: string): Worktree | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const found = worktreeOf(at)
    if (found !== undefined || at === dirname(at)) return found
  }
}

/** What is at a path; undefined if nothing is, or if it cannot be seen. */
function entryAt(path: string): Stats | undefined {
  try {
    return lstatSync(path)
  } catch {
    return undefined
  }
}

function isSamePlace(one: string, other: string): boolean {
  const real = realOf(one)
  return real !== undefined && real === realOf(other)
}

function realOf(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined
  }
}

/** The text of a small file of Git; empty if there is none that can be read. */
function textOf(path: string): string {
  try {
    const refuse = (is: string) => new LockstepError('FILE_FAILED', `${path} ${is}`)
    return readTextFile(path, limits.gitFileBytes, refuse) ?? ''
  } catch {
    return ''
  }
}
