import type { Aggregate } from '../../kernel/decider.ts'
import type { LockCommand } from './commands.ts'
import { decide, reads } from './decide.ts'
import { evolve, type LockState } from './state.ts'
import { fromStored, type StoredLock, toStored } from './stored.ts'

export const lockAggregate: Aggregate<LockCommand, LockState, StoredLock> = {
  reads,
  decide,
  evolve,
  toStored,
  fromStored,
}
