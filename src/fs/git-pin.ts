import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { basename, dirname } from 'node:path'
import { gitBlobId } from '../core/policy/content.ts'

/** The pin of a file: what stands for its content from now on, and where that comes from. */
export interface FilePin {
  pin: string
  source: 'git-blob' | 'git-commit'
}

const gitMillisMax = 5_000

/**
 * The SHA of the last commit that changed a file, where Git tracks it and it is unmodified; otherwise the id that Git
 * would give its content, which takes no Git. Cost: up to three processes.
 */
export function pinOfFile(path: string, bytes: Uint8Array): FilePin {
  const commit = commitOf(path)
  if (commit !== undefined) return { pin: commit, source: 'git-commit' }
  return { pin: gitBlobId(bytes, (input) => hash('sha1', input, 'hex')), source: 'git-blob' }
}

function commitOf(path: string): string | undefined {
  const name = basename(path)
  const git = (...words: string[]) =>
    execFileSync('git', ['--no-optional-locks', '-C', dirname(path), ...words, '--', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: gitMillisMax,
    }).trim()
  try {
    git('ls-files', '--error-unmatch')
    if (git('status', '--porcelain') !== '') return undefined
    const commit = git('log', '-n', '1', '--format=%H')
    return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(commit) ? commit : undefined
  } catch {
    // No Git, no repository, or not a file of it.
    return undefined
  }
}
