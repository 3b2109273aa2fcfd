import type { Command } from 'commander'
import { guardFrom } from './audit-append.ts'

/** The options of every command on one turn. */
export interface TurnFlags {
  guard?: string
  key?: string
  run: string
  turn: string
}

export function withTurn(command: Command): Command {
  return command
    .requiredOption('--run <run_id>', 'the run')
    .requiredOption('--turn <turn_id>', 'the turn, as turn-0001')
    .option('--guard <name@token>', 'only if this lock’s grant is current')
    .option('--key <key>', 'request key: the same key and content again gives the first answer')
}

/** What every call of the library on a turn takes. Errors: INVALID_INPUT. */
export function askedFrom({ guard, key, run, turn }: TurnFlags) {
  return {
    run_id: run,
    turn_id: turn,
    ...(guard === undefined ? {} : { guard: guardFrom(guard) }),
    ...(key === undefined ? {} : { idempotency_key: key }),
  }
}
