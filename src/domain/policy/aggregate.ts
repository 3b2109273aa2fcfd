import type { Aggregate } from '../../kernel/decider.ts'
import type { PolicyCommand } from './commands.ts'
import { decide, reads } from './decide.ts'
import { evolve, type PolicyState } from './state.ts'

export const policyAggregate: Aggregate<PolicyCommand, PolicyState | null> = {
  reads,
  decide,
  evolve: (state, entry) => evolve(state ?? undefined, entry),
}
