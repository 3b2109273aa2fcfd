import type { Command } from 'commander'
import { noun, verb } from './verb.ts'

export function clockCommand(asked?: string): Command {
  const verbs = { reset: resetVerb }
  return noun('clock', verbs, asked, [
    'lockstep clock reset --reason "the clock was in 2099 for one command"',
    'lockstep --actor human:BECCA clock reset --reason "drill"',
  ])
}

function resetVerb(): Command {
  return verb('reset', 'clock.reset', {
    more: 'Only the release authority or an operator may do this. Leases and the order of entries do not change.',
    lines: ({ previous_time, seq, time }) =>
      `the time of entries was ${previous_time}; from entry ${seq} on, it is ${time}`,
    examples: [
      'lockstep --actor human:BECCA clock reset --reason "the clock was in 2099 for one command"',
      'lockstep --actor human:BECCA --json clock reset --reason "drill"',
    ],
  })
}
