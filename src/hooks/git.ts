import { execFile } from 'node:child_process'
import { statSync } from 'node:fs'
import { resolve } from 'node:path'

const millisMax = 2_000
const bytesMax = 1024 * 1024

/** What Git prints; undefined if it fails, takes too long or prints too much: then nothing is known. */
function git(cwd: string, ...words: string[]): Promise<string | undefined> {
  const options = {
    cwd,
    encoding: 'utf8' as const,
    // A look must not take the lock of the index from a command of the user.
    env: { ...process.env, GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' },
    maxBuffer: bytesMax,
    timeout: millisMax,
  }
  return new Promise((done) => {
    execFile('git', words, options, (error, stdout) => done(error === null ? stdout : undefined))
  })
}

/** A worktree of Git, and the file that grows with every move of its HEAD. */
export interface Tree {
  log: string
  top: string
}

/** The worktree that a folder is in; undefined outside of all. Cost: one process. */
export async function treeOf(cwd: string): Promise<Tree | undefined> {
  const [top = '', log = ''] =
    (await git(cwd, 'rev-parse', '--show-toplevel', '--git-path', 'logs/HEAD'))?.split('\n') ?? []
  return top === '' ? undefined : { log: resolve(cwd, log), top }
}

/** Tells whether HEAD has moved, without a process; undefined if this repository keeps no log of it. */
export function movesOf({ log }: Tree): string | undefined {
  try {
    const { mtimeMs, size } = statSync(log)
    return `${size}-${mtimeMs}`
  } catch {
    return undefined
  }
}

/** The files that differ from HEAD or are new, by their absolute paths, at most `max` of them. */
export async function changedIn({ top }: Tree, max: number): Promise<string[]> {
  const status = await git(top, 'status', '--porcelain=v1', '-z', '--untracked-files=all', '--no-renames')
  const lines = status?.split('\0').filter((line) => line !== '') ?? []
  return lines.slice(0, max).map((line) => resolve(top, line.slice(3)))
}

export async function headOf({ top }: Tree): Promise<string | undefined> {
  return (await git(top, 'rev-parse', '--verify', '--quiet', 'HEAD'))?.trim() || undefined
}

export interface Commit {
  files: string[]
  id: string
  /** When it was made, in milliseconds. */
  millis: number
}

/**
 * The commits that are new since another one, newest first, at most 50, with the files that they change. Merges are left
 * out: what they bring was committed elsewhere.
 */
export async function commitsSince({ top }: Tree, before: string, head: string): Promise<Commit[]> {
  const words = ['log', '-z', '--no-merges', '--no-renames', '--max-count=50', '--format=%x01%H %ct', '--name-only']
  const text = await git(top, ...words, `${before}..${head}`)
  const parts = text?.split('\u0001').filter((part) => part !== '') ?? []
  return parts.map((part) => {
    const [first = '', ...files] = part.split(/[\0\n]+/)
    const [id = '', seconds = ''] = first.split(' ')
    return {
      files: files.filter((file) => file !== '').map((file) => resolve(top, file)),
      id,
      millis: Number(seconds) * 1000,
    }
  })
}
