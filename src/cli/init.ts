import { appendFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import { homeName } from '../disk/layout.ts'
import { adopt } from '../disk/ownership.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { lockFileName } from '../domain/lock/lock-file.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { actorOf, examples, folderOf, globalsOf } from './context.ts'
import { print } from './output.ts'

export function initCommand(): Command {
  const command = new Command('init')
    .description('Create a ledger in a folder. It governs this folder and everything below it.')
    .argument('[dir]', 'the root of the ledger (default: --dir, else the working directory)')
    .option('--origin <name>', 'the name of the ledger and its key (default: lockstep.local/<ledger_id>)')
    .option('--nested', 'allow a ledger inside or above another')
    .option('--accept-permissions', 'accept and record that the disk stores no file modes, such as drvfs or exFAT')
    .option('--gitignore', 'add the ledger’s files to .gitignore instead of printing the lines')
    .action(
      async (
        dir: string | undefined,
        options: { acceptPermissions?: boolean; origin?: string; nested?: boolean; gitignore?: boolean },
        self: Command,
      ) => {
        const globals = globalsOf(self)
        const root = resolve(dir ?? folderOf(globals))
        const { openLedger } = await import('../open.ts')
        const ignored = [`${homeName}/`, lockFileName]
        const actor = actorOf(globals)
        // The file is read first, so that no ledger is created if .gitignore is unusable.
        const missing = options.gitignore ? missingIn(join(root, '.gitignore'), ignored) : undefined
        const ledger = await openLedger({
          dir: root,
          create: true,
          command: 'lockstep init',
          nested: options.nested === true,
          accept_permissions: options.acceptPermissions === true,
          ...(options.origin === undefined ? {} : { origin: options.origin }),
          ...(actor === undefined ? {} : { actor }),
        })
        const { lanes, roles } = await ledger.policy.show()
        const { vkey, ...head } = { ...(await ledger.signedHead()), ...ledger.head() }
        await ledger.close()
        const added = missing === undefined ? [] : addTo(join(ledger.dir, '.gitignore'), missing)
        print(
          globals,
          {
            dir: ledger.dir,
            origin: head.origin,
            size: head.size,
            root: head.root,
            vkey,
            policy: [lanes.file, roles.file],
            gitignore_added: added,
          },
          () => [
            `ledger ${head.origin} governs ${ledger.dir}`,
            `key ${vkey}`,
            `policy ${lanes.file} and ${roles.file}`,
            ...(options.gitignore
              ? [`.gitignore: ${added.length === 0 ? 'nothing to add' : `added ${added.join(' and ')}`}`]
              : ['', 'Lines for .gitignore (or run init with --gitignore):', ...ignored]),
            '',
            'Next: lockstep lock run NAME -- COMMAND, or lockstep help',
          ],
        )
      },
    )
  return examples(command, 'lockstep init', 'lockstep init ~/work/fleet --gitignore')
}

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
    appendFileSync(path, `${isNew || text.endsWith('\n') ? '' : '\n'}${lines.join('\n')}\n`, { mode: 0o644 })
    if (isNew) adopt(path)
  }
  return lines
}
