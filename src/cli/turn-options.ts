import type { Command } from 'commander'
import { guardFrom } from './audit-append.ts'

/** The options that all commands on a turn share. */
export interface TurnFlags {
  guard?: string
  key?: string
  run: string
  turn: string
}

export function withTurn(command: Command): Command {
  return command
    .requiredOption('--run <run_id>', 'the run of the turn')
    .requiredOption('--turn <turn_id>', 'the turn, such as turn-0001')
    .option('--guard <name@token>', 'continue only if this grant of the lock is current')
    .option('--key <key>', 'request key: repeating a request with its key returns the first answer')
}

/** The arguments that all library calls on a turn share. Errors: INVALID_INPUT. */
export function askedFrom({ guard, key, run, turn }: TurnFlags) {
  return {
    run_id: run,
    turn_id: turn,
    ...(guard === undefined ? {} : { guard: guardFrom(guard) }),
    ...(key === undefined ? {} : { idempotency_key: key }),
  }
}
