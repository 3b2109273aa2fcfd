import { Command } from 'commander'
import { examples, globalsOf, withLedger } from './context.ts'
import { print } from './output.ts'

export function clockCommand(): Command {
  const clock = new Command('clock').description('The time of entries, after a wall clock that was wrong.')
  clock.addCommand(resetCommand())
  return examples(
    clock,
    'lockstep clock reset --reason "the clock was in 2099 for one command"',
    'lockstep --actor human:BECCA clock reset --reason "drill"',
  )
}

function resetCommand(): Command {
  const command = new Command('reset')
    .description(
      'Let the time of entries follow the wall clock again. For the release authority or an operator; leases and order are untouched.',
    )
    .requiredOption('--reason <text>', 'why, for the record')
    .action(async ({ reason }: { reason: string }, self: Command) => {
      const globals = globalsOf(self)
      const reset = await withLedger(globals, 'clock reset', (ledger) => ledger.clock.reset({ reason }))
      print(globals, reset, () => [
        `the time of entries was ${reset.previous_time} and is ${reset.time} from entry ${reset.seq} on`,
      ])
    })
  return examples(
    command,
    'lockstep --actor human:BECCA clock reset --reason "the clock was in 2099 for one command"',
    'lockstep --actor human:BECCA --json clock reset --reason "drill"',
  )
}
