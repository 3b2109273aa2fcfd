import type { Context, Decision } from '../decider.ts'
import type { AuditCommand } from './commands.ts'
import type { AuditEvent } from './events.ts'

/** Every event outside runs goes into one stream. */
export const auditStream = 'audit'

export function reads(): readonly string[] {
  return [auditStream]
}

/** Refusals: those of the guard (STALE_TOKEN, LEASE_EXPIRED). */
export function decide(command: AuditCommand, context: Context): Decision<AuditEvent> {
  if (context.guard !== undefined) return context.guard
  const events = command.events.map((data): AuditEvent => ({ type: 'audit.recorded', stream: auditStream, data }))
  return { kind: 'append', events }
}
