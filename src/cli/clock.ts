import { Command } from 'commander'
import { examples, globalsOf, withLedger } from './context.ts'
import { print } from './output.ts'

export function clockCommand(): Command {
  const clock = new Command('clock').description('Correct the time of entries after the wall clock was wrong.')
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
      'Let the time of entries follow the wall clock again. Only the release authority or an operator may do this. Leases and the order of entries do not change.',
    )
    .requiredOption('--reason <text>', 'the reason to record')
    .action(async ({ reason }: { reason: string }, self: Command) => {
      const globals = globalsOf(self)
      const reset = await withLedger(globals, 'clock reset', (ledger) => ledger.clock.reset({ reason }))
      print(globals, reset, () => [
        `the time of entries was ${reset.previous_time}; from entry ${reset.seq} on, it is ${reset.time}`,
      ])
    })
  return examples(
    command,
    'lockstep --actor human:BECCA clock reset --reason "the clock was in 2099 for one command"',
    'lockstep --actor human:BECCA --json clock reset --reason "drill"',
  )
}
