import type { Aggregate } from '../../kernel/decider.ts'
import type { AuditCommand } from './commands.ts'
import { decide, reads } from './decide.ts'
import { type AuditState, evolve } from './state.ts'

export const auditAggregate: Aggregate<AuditCommand, AuditState> = { reads, decide, evolve }
