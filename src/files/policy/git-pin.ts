import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { basename, dirname } from 'node:path'
import { gitBlobId } from '../../domain/policy/content.ts'

/** The pin of a file: an id for its current content, and the source of that id. */
export interface FilePin {
  pin: string
  source: 'git-blob' | 'git-commit'
}

const gitMillisMax = 5_000

/**
 * The SHA of the last commit that changed the file, if Git tracks it and it is unmodified. Otherwise, the id that Git
 * would give its content, which is computed without Git.
 * Cost: up to three processes.
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
    // Git is missing, there is no repository, or the file is not in it.
    return undefined
  }
}
