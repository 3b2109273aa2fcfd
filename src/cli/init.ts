import { appendFileSync, mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import { homeName } from '../disk/layout.ts'
import { adopt } from '../disk/ownership.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { userActor } from '../disk/user.ts'
import { worktreeAround } from '../disk/worktree.ts'
import { lockFileName } from '../domain/lock/lock-file.ts'
import { LockstepError } from '../errors.ts'
import { parsedJson } from '../kernel/json.ts'
import { limits } from '../kernel/limits.ts'
import { actorOf, folderOf } from './context.ts'
import type { Globals } from './globals.ts'
import { keepOperatorToken } from './operator-token.ts'
import { local, text, toggle } from './verb.ts'

export function initVerb(): Command {
  return local('init', 'Creates a ledger in a folder. It governs this folder and everything below it.', {
    own: {
      acceptPermissions: toggle(
        '--accept-permissions',
        'accept and record that the disk stores no file modes, such as drvfs or exFAT',
      ),
      engine: text(
        '--engine <url>',
        'the PostgreSQL database that gets the ledger: postgres://… (default: files in the folder)',
      ),
      dir: text('[dir]', 'the root of the ledger (default: --dir, else the working directory)'),
      gitignore: toggle('--gitignore', 'add the ledger’s files to .gitignore instead of printing the lines'),
      gitExclude: toggle(
        '--git-exclude',
        'add the ledger’s files to .git/info/exclude, which is not part of commits, instead of printing the lines',
      ),
      nested: toggle('--nested', 'allow a ledger inside or above another'),
      operatorToken: toggle(
        '--no-operator-token',
        'do not write a token for the operator of the service to your configuration folder',
      ),
      signer: text(
        '--signer <json>',
        'the command that holds the private key, as a JSON array of its words; no key is made in the folder',
      ),
      origin: text('--origin <name>', 'the name of the ledger and its key (default: lockstep.local/<ledger_id>)'),
    },
    run: async ({ command, given, globals }) => {
      const root = resolve(given.dir ?? folderOf(globals))
      const { openLedger } = await import('../open.ts')
      const actor = actorOf(globals)
      // The file is read first, so that no ledger is created if .gitignore is unusable.
      const list = given.gitExclude ? excludeOf(root) : join(root, '.gitignore')
      const missing = given.gitignore || given.gitExclude ? missingIn(list, ignored) : undefined
      const ledger = await openLedger({
        dir: root,
        create: true,
        command: `lockstep ${command}`,
        authn: 'os',
        nested: given.nested === true,
        accept_permissions: given.acceptPermissions === true,
        ...(given.signer === undefined
          ? {}
          : { config: { signer: { command: parsedJson(given.signer, '--signer') } } }),
        ...(given.origin === undefined ? {} : { origin: given.origin }),
        ...(given.engine === undefined ? {} : { engine: given.engine as `postgres://${string}` }),
        ...(actor === undefined ? {} : { actor }),
      })
      const { lanes, roles } = await ledger.policy.show()
      const { origin } = await ledger.head.get()
      const operator_token = given.operatorToken ? await keepOperatorToken(ledger, origin, userActor()) : null
      const { root: hash, size } = await ledger.head.get()
      const { vkey } = await ledger.head.signed({})
      await ledger.close()
      const gitignore_added = missing === undefined ? await offered(globals, ledger.dir) : addTo(list, missing)
      const policy = [lanes.file, roles.file]
      const in_git = excludeIn(ledger.dir) !== undefined
      return { dir: ledger.dir, in_git, origin, size, root: hash, vkey, policy, operator_token, gitignore_added }
    },
    lines: ({ dir, gitignore_added: added, in_git, operator_token, origin, policy, vkey }, { given }) => [
      `ledger ${origin} governs ${dir}`,
      `key ${vkey}`,
      `policy ${policy.join(' and ')}`,
      ...(operator_token === null ? [] : [`operator token ${operator_token}`]),
      ...(given.gitignore || given.gitExclude || added.length > 0
        ? [
            `${given.gitignore ? '.gitignore' : '.git/info/exclude'}: ${added.length === 0 ? 'nothing to add' : `added ${added.join(' and ')}`}`,
          ]
        : ['', `Lines for .gitignore (or run init with --gitignore${in_git ? ' or --git-exclude' : ''}):`, ...ignored]),
      '',
      'Next: lockstep lock run NAME -- COMMAND, or lockstep help',
    ],
    examples: ['lockstep init', 'lockstep init ~/work/fleet --gitignore'],
  })
}

/** The file of a repository with what only this clone ignores. Errors: INVALID_INPUT (no repository). */
function excludeOf(folder: string): string {
  const found = excludeIn(folder)
  if (found !== undefined) return found
  throw new LockstepError('INVALID_INPUT', `${folder} is not in a Git repository, so it has no .git/info/exclude`)
}

function excludeIn(folder: string): string | undefined {
  const worktree = worktreeAround(folder)
  return worktree && join(worktree.repository, 'info', 'exclude')
}

/** Offers a person at a terminal to add the lines to .git/info/exclude. Returns those that were added. */
async function offered(globals: Globals, folder: string): Promise<string[]> {
  const file = excludeIn(folder)
  const missing = file === undefined || globals.json || !process.stdin.isTTY ? undefined : missingIn(file, ignored)
  if (file === undefined || missing === undefined || missing.lines.length === 0) return []
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`Add ${ignored.join(' and ')} to .git/info/exclude? [Y/n] `)
  terminal.close()
  return /^\s*(?:y(?:es)?)?\s*$/i.test(answer) ? addTo(file, missing) : []
}

const ignored = [`${homeName}/`, lockFileName]

/** The text of a file, and the lines to add. */
interface Missing {
  text: string
  lines: string[]
}

function missingIn(path: string, ignored: readonly string[]): Missing {
  const refuse = (is: string) => new LockstepError('INVALID_INPUT', `${path} ${is}`, { details: { file: path } })
  const text = readTextFile(path, limits.homeFileBytes, refuse) ?? ''
  const lines = new Set(text.split(/\r?\n/))
  return { text, lines: ignored.filter((line) => !lines.has(line)) }
}

/** Adds the lines. A new file is writable only by its owner. */
function addTo(path: string, { lines, text }: Missing): string[] {
  if (lines.length > 0) {
    const isNew = text === ''
    mkdirSync(dirname(path), { recursive: true })
    appendFileSync(path, `${isNew || text.endsWith('\n') ? '' : '\n'}${lines.join('\n')}\n`, { mode: 0o644 })
    if (isNew) adopt(path)
  }
  return lines
}
