#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { LockstepError } from '../errors.ts'
import { auditCommand } from './audit.ts'
import { type Globals, wholeNumber } from './context.ts'
import { doctorCommand } from './doctor.ts'
import { consistencyCommand, headCommand, proveCommand } from './head.ts'
import { initCommand } from './init.ts'
import { lockCommand } from './lock.ts'
import { report } from './output.ts'
import { verifyCommand } from './verify.ts'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

/** The program: one file per noun. Every command ends in an exit code of design.md §7. */
function program(): Command {
  const lockstep = new Command('lockstep')
    .description('An append-only ledger for fleets of AI agents: locks, fencing tokens, audit and proofs.')
    .version(manifest.version)
    .option('--dir <dir>', 'the folder to work in; the innermost ledger governs (LOCKSTEP_DIR)')
    .option('--actor <actor>', 'who acts: agent:ID, human:ID, system:ID or an agent’s bare ID (LOCKSTEP_ACTOR)')
    .option('--json', 'print one JSON document on stdout')
    .option('--open-wait <seconds>', 'how long to wait while another process has the ledger open', wholeNumber, 30)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      'after',
      '\nExamples:\n  lockstep init\n  lockstep lock run reports -- npm run report\n\nExit codes: 0 ok, 2 usage, 3 not found, 4 denied, 5 conflict, 6 integrity, 7 unavailable, 8 timed out,\n75 lock contention, 76 lease lost, 128+n signal.',
    )
  lockstep.addCommand(initCommand())
  lockstep.addCommand(lockCommand())
  lockstep.addCommand(auditCommand())
  lockstep.addCommand(headCommand())
  lockstep.addCommand(proveCommand())
  lockstep.addCommand(consistencyCommand())
  lockstep.addCommand(verifyCommand())
  lockstep.addCommand(doctorCommand())
  return strict(lockstep)
}

/** Errors of usage are thrown like any other, from every depth. */
function strict(command: Command): Command {
  command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showHelpAfterError(false)
  for (const child of command.commands) strict(child)
  return command
}

async function run(argv: readonly string[]): Promise<number> {
  const lockstep = program()
  try {
    await lockstep.parseAsync([...argv], { from: 'user' })
    return process.exitCode === undefined ? 0 : Number(process.exitCode)
  } catch (error) {
    const globals: Globals = { ...lockstep.opts<Globals>(), json: wantsJson(argv) }
    if (!(error instanceof CommanderError)) return report(globals, error)
    if (error.exitCode === 0) return 0
    // A noun without its verb: its help was printed.
    if (error.code === 'commander.help') return 2
    const message = error.message.replace(/^error: /, '')
    return report(
      globals,
      new LockstepError('INVALID_INPUT', message, { hint: 'See "lockstep help", or --help after any command.' }),
    )
  }
}

/** Usage errors come before the options are parsed; what stands behind -- is another program's. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end === -1 ? undefined : end).includes('--json')
}

// A handle that something left open must not keep a finished command alive; its output is written by then.
process.exit(await run(process.argv.slice(2)))
