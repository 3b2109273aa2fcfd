import type { Command } from 'commander'
import { withLedger } from './context.ts'
import { local, noun, text } from './verb.ts'

export function clockCommand(asked?: string): Command {
  const verbs = { reset: resetVerb }
  return noun('clock', verbs, asked, [
    'lockstep clock reset --reason "the clock was in 2099 for one command"',
    'lockstep --actor human:BECCA clock reset --reason "drill"',
  ])
}

function resetVerb(): Command {
  return local('reset', 'Makes the time of entries follow the wall clock again.', {
    more: 'Only the release authority or an operator may do this. Leases and the order of entries do not change.',
    own: { reason: { ...text('--reason <text>', 'the reason to record'), isRequired: true } },
    run: ({ command, given, globals }) =>
      withLedger(globals, command, (ledger) => ledger.clock.reset({ reason: given.reason ?? '' })),
    lines: ({ previous_time, seq, time }) =>
      `the time of entries was ${previous_time}; from entry ${seq} on, it is ${time}`,
    examples: [
      'lockstep --actor human:BECCA clock reset --reason "the clock was in 2099 for one command"',
      'lockstep --actor human:BECCA --json clock reset --reason "drill"',
    ],
  })
}
