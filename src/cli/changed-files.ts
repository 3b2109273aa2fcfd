import { execFileSync } from 'node:child_process'
import { LockstepError, messageOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'

/**
 * The files of a worktree that differ from its last commit: with `isStaged` those in the index, otherwise also those that
 * are not. A renamed file counts under both names. A folder in which Git knows no file ends in `/`.
 * Errors: INVALID_INPUT (no worktree), LIMIT_EXCEEDED.
 */
export function changedFiles(folder: string, isStaged: boolean): { files: string[]; top: string } {
  const top = git(folder, ['rev-parse', '--show-toplevel']).replace(/\r?\n$/, '')
  const words = isStaged ? ['--untracked-files=no'] : []
  const fields = git(folder, ['status', '--porcelain', '-z', ...words]).split('\0')
  const files: string[] = []
  for (let at = 0; at < fields.length; at += 1) {
    const [, index = '', path = ''] = /^(.). ?(.+)$/s.exec(fields[at] ?? '') ?? []
    const isMoved = /^(?:[RC]|.[RC])/.test(fields[at] ?? '')
    if (isMoved) at += 1
    const former = isMoved ? fields[at] : undefined
    if (path === '' || (isStaged && (index === ' ' || index === '?'))) continue
    files.push(path, ...(former === undefined ? [] : [former]))
  }
  if (files.length <= limits.changedFilesMax) return { files, top }
  const many = `${files.length} files are changed; at most ${limits.changedFilesMax} can be compared`
  throw new LockstepError('LIMIT_EXCEEDED', many, { hint: 'Commit fewer files at once.' })
}

function git(folder: string, words: string[]): string {
  try {
    return execFileSync('git', ['--no-optional-locks', '-C', folder, ...words], {
      encoding: 'utf8',
      maxBuffer: limits.gitOutputBytes,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string }
    const said = stderr.trim().split('\n').at(-1) ?? ''
    throw new LockstepError('INVALID_INPUT', `git ${words[0]}: ${said || messageOf(cause)}`, { cause })
  }
}
