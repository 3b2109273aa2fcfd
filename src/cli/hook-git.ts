import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { writeDurably } from '../disk/durable.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { LockstepError, messageOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { folderOf } from './context.ts'
import { local, toggle } from './verb.ts'

/** The line by which a hook is known as ours. */
const mark = '# The guard of Lockstep: lockstep hook git --uninstall removes it.'

/** What was done with the hook. */
interface Installed {
  hook: string
  is_installed: boolean
  /** The hook that was there before, which the guard runs first; null if there was none. */
  kept: string | null
}

/** The guard of commits: a hook of Git that runs `lock check-edits --staged`. */
export function gitVerb(): Command {
  return local('git', 'Guards commits: a commit that changes a file which another holder has locked is refused.', {
    more: 'The guard is the pre-commit hook of the repository, for all its worktrees. It runs a hook that was there before first. "git commit --no-verify" skips it.',
    own: {
      install: toggle('--install', 'install the hook, or update it'),
      uninstall: toggle('--uninstall', 'remove the hook, and put back the one before it'),
    },
    run: async ({ given, globals }): Promise<Installed> => {
      if (given.install === given.uninstall)
        throw new LockstepError('INVALID_INPUT', 'specify either --install or --uninstall')
      const hook = join(hooksFolder(folderOf(globals)), 'pre-commit')
      const former = `${hook}.before-lockstep`
      return given.install ? install(hook, former) : uninstall(hook, former)
    },
    lines: ({ hook, is_installed, kept }) => [
      `${hook} ${is_installed ? 'guards commits' : 'is not guarded by Lockstep'}`,
      ...(kept === null
        ? []
        : [`${is_installed ? 'the hook before it runs first' : 'the hook is as before'}: ${kept}`]),
    ],
    examples: ['lockstep hook git --install', 'lockstep hook git --uninstall'],
  })
}

async function install(hook: string, former: string): Promise<Installed> {
  mkdirSync(dirname(hook), { recursive: true })
  if (isThere(hook) && !isOurs(hook)) renameSync(hook, former)
  await writeDurably(hook, guard(), 0o755)
  return { hook, is_installed: true, kept: isThere(former) ? former : null }
}

function uninstall(hook: string, former: string): Installed {
  if (isThere(hook) && isOurs(hook)) {
    if (isThere(former)) renameSync(former, hook)
    else rmSync(hook)
  }
  return { hook, is_installed: false, kept: isThere(hook) ? hook : null }
}

/**
 * A folder without a ledger is not guarded (exit code 3). Anything else that keeps the guard from its answer refuses the
 * commit.
 */
function guard(): string {
  const program = [process.execPath, fileURLToPath(new URL('main.js', import.meta.url))].map(quoted).join(' ')
  return `#!/bin/sh
${mark}
before="$0.before-lockstep"
if [ -x "$before" ]; then "$before" "$@" || exit $?; fi
${program} lock check-edits --staged >&2
code=$?
if [ $code -eq 0 ] || [ $code -eq 3 ]; then exit 0; fi
echo 'lockstep: the commit is refused' >&2
exit 1
`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function isOurs(hook: string): boolean {
  const refuse = (is: string) => new LockstepError('FILE_FAILED', `${hook} ${is}`)
  return lstatSync(hook).isFile() && (readTextFile(hook, limits.homeFileBytes, refuse) ?? '').includes(mark)
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** The folder of the hooks, wherever the configuration of the repository has it. Errors: INVALID_INPUT. */
function hooksFolder(folder: string): string {
  try {
    const words = ['-C', folder, 'rev-parse', '--git-path', 'hooks']
    const path = execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    return resolve(folder, path.replace(/\r?\n$/, ''))
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string }
    throw new LockstepError('INVALID_INPUT', `git rev-parse: ${stderr.trim() || messageOf(cause)}`, { cause })
  }
}
