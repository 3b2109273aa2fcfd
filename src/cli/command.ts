// This import comes first, to see the descriptors as they were when the program started.
import '../supervise/descriptors.ts'
import { type Command, CommanderError } from 'commander'
import { LockstepError } from '../errors.ts'
import { choiceSentence } from '../kernel/sentences.ts'
import type { Globals } from './globals.ts'
import { inWordsOfCommand } from './hints.ts'
import { report } from './output.ts'
import { program, wordsOf } from './program.ts'

/** Runs a command, prints its output, and resolves with its exit code, as `docs/errors.md` lists them. */
export async function runCommand(argv: readonly string[]): Promise<number> {
  // Not in the help: only the scripts of "lockstep completion" call it, with a line that is not finished.
  if (argv[0] === 'complete') return (await import('./complete.ts')).complete(argv[1] ?? '', argv[2])
  const lockstep = await program(argv)
  try {
    const [first, ...rest] = wordsOf(argv)
    if (first === 'help' && rest.length > 0) {
      commandOf(lockstep, rest).outputHelp()
      return 0
    }
    await lockstep.parseAsync([...argv], { from: 'user' })
    return process.exitCode === undefined ? 0 : Number(process.exitCode)
  } catch (error) {
    const globals: Globals = { ...lockstep.opts<Globals>(), json: wantsJson(argv) }
    if (!(error instanceof CommanderError)) return report(globals, inWordsOfCommand(error))
    if (error.exitCode === 0) return 0
    const isNounAlone = error.code === 'commander.help'
    // The help text was printed already, which is enough for people.
    if (isNounAlone && !globals.json) return 2
    const message = isNounAlone ? 'no command was given' : error.message.replace(/^error: /, '').replaceAll('\n', ' ')
    return report(
      globals,
      new LockstepError('INVALID_INPUT', message, { hint: 'See "lockstep help", or --help after any command.' }),
    )
  }
}

/** The command that words such as `lock acquire` name. Errors: INVALID_INPUT. */
function commandOf(lockstep: Command, words: readonly string[]): Command {
  let command = lockstep
  for (const word of words) {
    const next = command.commands.find((one) => one.name() === word)
    if (next === undefined) {
      const names = command.commands.map((one) => one.name())
      throw new LockstepError('INVALID_INPUT', `unknown command: it ${choiceSentence(names, word)}`)
    }
    command = next
  }
  return command
}

/** Whether --json is given. Usage errors occur before the options are parsed. Words behind -- are not our options. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end === -1 ? undefined : end).includes('--json')
}
