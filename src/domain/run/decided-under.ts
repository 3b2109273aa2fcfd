import { sorted } from '../../kernel/canonical.ts'
import type { Context, Decision } from '../../kernel/decider.ts'

/** The decision on a command, with each `run.decided` naming the configuration that it was made under. */
export function decidedUnder(decision: Decision, { config_sha256 }: Context): Decision {
  if (decision.kind !== 'append' || config_sha256 === undefined) return decision
  const events = decision.events.map((event) =>
    event.type === 'run.decided' ? { ...event, data: sorted({ ...event.data, config_sha256 }) } : event,
  )
  return { ...decision, events }
}
