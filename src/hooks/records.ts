import { hash } from 'node:crypto'
import type { AppendEvents } from '../api/shapes/audit.ts'
import { LockstepError } from '../errors.ts'
import { canonicalText, type Json } from '../kernel/canonical.ts'
import { given } from '../kernel/given.ts'
import type { Asked } from './asked.ts'
import type { ToolCall } from './event.ts'
import type { Begun } from './sessions.ts'

/**
 * Records a call of a tool: its outcome, how long it took, and the digests of what went in and came out. A call is
 * recorded once, so a hook that is called again appends nothing. Cost: one append.
 */
export async function recordCall({ api, event }: Asked<'after_tool'>, begun: Begun | undefined): Promise<void> {
  const { is_failure, response, tool } = event
  const measured = begun && Math.max(0, Date.now() - begun.at)
  await append({ api, event }, tool.id, {
    ...given({ duration_ms: event.duration_ms === undefined ? measured : Math.round(event.duration_ms) }),
    ...of(tool),
    outcome: is_failure ? 'failure' : 'success',
    ...given({ response_hash_sha256: response === undefined ? undefined : digestOf(response) }),
  })
}

/** Records a call of a tool that was denied, with the code of the reason. */
export async function recordDenial({ api, event }: Asked<'before_tool'>, code: string): Promise<void> {
  const { tool } = event
  const reason = { outcome: 'failure', outcome_reason: `denied: ${code}`, severity: 'warn' } as const
  await append({ api, event }, tool.id, { ...of(tool), ...reason })
}

/** Appends an event of a session, once for each key. */
export async function append(
  { api, event: { session_id } }: Pick<Asked, 'api' | 'event'>,
  key: string,
  event: Omit<AppendEvents['events'][number], 'action_type'>,
): Promise<void> {
  const events = [{ ...event, action_type: 'system' as const }]
  try {
    await api.audit.append({ correlation_id: session_id, events, idempotency_key: `${session_id}:${key}` })
  } catch (error) {
    // The call was recorded before, and only its duration was measured differently.
    if (!(error instanceof LockstepError) || error.code !== 'IDEMPOTENCY_MISMATCH') throw error
  }
}

function of({ input, name }: ToolCall) {
  return {
    request_hash_sha256: digestOf(input ?? null),
    target: { name, operation: 'call', target_type: 'tool' as const },
  }
}

/** The SHA-256 of the RFC 8785 form of a value, as `hashRequest` gives it. */
export function digestOf(value: unknown): string {
  return hash('sha256', canonicalText(value as Json))
}
