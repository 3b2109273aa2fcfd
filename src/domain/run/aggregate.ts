import type { Aggregate } from '../../kernel/decider.ts'
import type { RunCommand } from './commands.ts'
import { decide, reads } from './decide.ts'
import { evolve, type RunState } from './state.ts'

export const runAggregate: Aggregate<RunCommand, RunState> = { reads, decide, evolve }
