// First, to see the descriptors as they were when the program started.
import './descriptors.ts'
import { CommanderError } from 'commander'
import { LockstepError } from '../errors.ts'
import type { Globals } from './globals.ts'
import { report } from './output.ts'
import { program } from './program.ts'

/** Runs a command and resolves with its exit code of design.md §7; whatever it has to say is printed by then. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  const lockstep = program()
  try {
    await lockstep.parseAsync([...argv], { from: 'user' })
    return process.exitCode === undefined ? 0 : Number(process.exitCode)
  } catch (error) {
    const globals: Globals = { ...lockstep.opts<Globals>(), json: wantsJson(argv) }
    if (!(error instanceof CommanderError)) return report(globals, error)
    if (error.exitCode === 0) return 0
    const isNounAlone = error.code === 'commander.help'
    // Its help was printed, which says enough to people.
    if (isNounAlone && !globals.json) return 2
    const message = isNounAlone ? 'no command is named' : error.message.replace(/^error: /, '')
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
