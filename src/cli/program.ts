import { readFileSync } from 'node:fs'
import { Command, Help } from 'commander'
import { auditCommand } from './audit.ts'
import { clockCommand } from './clock.ts'
import { wholeNumber } from './context.ts'
import { doctorCommand } from './doctor.ts'
import { exportCommand } from './export.ts'
import { consistencyCommand, headCommand, proveCommand } from './head.ts'
import { initCommand } from './init.ts'
import { lockCommand } from './lock.ts'
import { policyCommand } from './policy.ts'
import { runsCommand } from './run.ts'
import { stemCommand } from './stem.ts'
import { turnCommand } from './turn.ts'
import { verifyCommand } from './verify.ts'

const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

/** Builds the program. Each noun has its own file. `docs/errors.md` lists the exit codes. */
export function program(): Command {
  const lockstep = new Command('lockstep')
    .description('An append-only ledger for fleets of AI agents: locks, fencing tokens, audit and proofs.')
    .version(manifest.version)
    .option('--dir <dir>', 'the folder to work in; the innermost ledger above it is used (LOCKSTEP_DIR)')
    .option('--actor <actor>', 'the actor: agent:ID, human:ID, system:ID, or the bare ID of an agent (LOCKSTEP_ACTOR)')
    .option('--json', 'print one JSON document on stdout')
    .option('--open-wait <seconds>', 'how long to wait if another process has the ledger open', wholeNumber, 30)
    .addHelpText(
      'after',
      '\nExamples:\n  lockstep init\n  lockstep lock run reports -- npm run report\n\nExit codes: 0 ok, 2 usage, 3 not found, 4 denied, 5 conflict, 6 integrity, 7 unavailable, 8 timed out,\n75 lock contention, 76 lease lost, 128+n signal.',
    )
  lockstep.addCommand(initCommand())
  lockstep.addCommand(lockCommand())
  lockstep.addCommand(runsCommand())
  lockstep.addCommand(turnCommand())
  lockstep.addCommand(stemCommand())
  lockstep.addCommand(policyCommand())
  lockstep.addCommand(auditCommand())
  lockstep.addCommand(exportCommand())
  lockstep.addCommand(headCommand())
  lockstep.addCommand(proveCommand())
  lockstep.addCommand(consistencyCommand())
  lockstep.addCommand(clockCommand())
  lockstep.addCommand(verifyCommand())
  lockstep.addCommand(doctorCommand())
  return strict(lockstep)
}

const plainHelp = new Help()

/**
 * Configures all commands: usage errors are thrown like other errors, and each help text shows the global options and
 * marks required options.
 */
function strict(command: Command): Command {
  command
    .configureHelp({
      showGlobalOptions: true,
      optionDescription: (option) => `${plainHelp.optionDescription(option)}${option.mandatory ? ' (required)' : ''}`,
    })
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showHelpAfterError(false)
  for (const child of command.commands) strict(child)
  return command
}
