import { is } from 'uvu/assert'
import { newName, refused, type Stage, stranger } from '../stage.ts'

export const of = { case_id: 'CASE-17', lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT' } as const
export const error = { error_code: 'E1', message: 'it broke', retryable: true }
export const artifact = { artifact_id: 'art-1', artifact_kind: 'transcript', hash_sha256: 'ab'.repeat(32) }
/** An artifact of another case than the runs. */
export const ofAnother = { ...artifact, case_id: 'CASE-18' }
/** No process has this pid. */
export const noPid = 2 ** 31 - 1
export const done = { outcome_reason: 'done' }
export const actionOf = (run_id: string, name = 'dictation.start') => ({
  action_type: 'tool_call' as const,
  lane_id: of.lane_id,
  scope: { case_id: of.case_id, client_session_id: 'session-1', run_id },
  target: { name },
})

/** An orchestrator, created. */
export async function created({ api }: Stage, more: object = {}): Promise<string> {
  const run_id = newName('run_orchestrator')
  await api.runs.create({ run_id, run_kind: 'orchestrator', ...more })
  return run_id
}

/** An orchestrator, running. */
export async function running(stage: Stage, more: object = {}): Promise<string> {
  const run_id = await created(stage)
  await stage.api.runs.start({ run_id, ...more })
  return run_id
}

/** An orchestrator below another run, running with a lease. */
export async function child(stage: Stage, more: object): Promise<string> {
  const run_id = await created(stage, more)
  await stage.api.runs.start({ run_id, lease_duration_s: 600 })
  return run_id
}

/** A run in the lane for interviews, running. */
export async function tool({ api }: Stage, more: object = {}): Promise<string> {
  const run_id = newName('run_tool')
  await api.runs.create({ ...of, run_id, run_kind: 'tool_gateway' })
  await api.runs.start({ run_id, ...more })
  return run_id
}

/** An artifact that may reach shared knowledge. */
export const sanitized = {
  ...artifact,
  artifact_kind: 'playbook',
  confidentiality: { contains_phi: false, contains_pii: false, contains_privileged: false },
}
export const human = { actor_id: 'ana', actor_type: 'human' } as const
export const knowledge = { lane_id: 'PROMOTE_SHARED_KNOWLEDGE', role_id: 'ATTORNEY_ADMIN', actor: human } as const

/** A running run in a lane that prohibits free text. */
export async function terse({ api }: Stage, more: object = {}): Promise<{ actor: typeof human; run_id: string }> {
  const run_id = newName('run_terse')
  await api.runs.create({ ...knowledge, run_id, run_kind: 'promotion' })
  await api.runs.start({ run_id, actor: human, ...more })
  return { actor: human, run_id }
}

export const promotionOf = (run_id: string, ticket = 'PT-1') => ({
  action_type: 'promotion' as const,
  lane_id: knowledge.lane_id,
  scope: { promotion_ticket_id: ticket, run_id, attorney_signoff: true },
  target: { name: 'shared_playbooks', mode: 'append' },
  artifacts: [sanitized],
})

/** A tool run with an allowed action that is not recorded. */
export async function allowed(stage: Stage, more: object = {}) {
  const run_id = await tool(stage, more)
  const { decision_id } = await stage.api.runs.authorize({ run_id, action: actionOf(run_id) })
  return { decision_id, run_id }
}

export async function completed(stage: Stage): Promise<string> {
  const run_id = await running(stage)
  await stage.api.runs.complete({ run_id, ...done })
  return run_id
}

/** A run whose parent begins before it and ends after it began. */
export async function orphaned(stage: Stage, begin: (more: object) => Promise<string>): Promise<string> {
  const parent_run_id = await running(stage)
  const run_id = await begin({ parent_run_id })
  await stage.api.runs.cancel({ run_id: parent_run_id, outcome_reason: 'no' })
  return run_id
}

/** The refusals that every command on a run has. */
export async function onAnyRun(stage: Stage, call: (input: { run_id: string }) => Promise<unknown>): Promise<void> {
  await refused(call({ run_id: newName('run_nowhere') }), 'NOT_FOUND')
  const run_id = await running(stage, { lease_duration_s: 60 })
  await refused(call({ run_id, actor: stranger } as { run_id: string }), 'NOT_RUN_ACTOR')
  stage.clock.advance(61_000)
  await refused(call({ run_id }), 'RUN_LEASE_EXPIRED')
}

/** The same key and content is answered as before; the same key with other content is refused. */
export async function asBefore<Input extends object>(
  call: (input: Input) => Promise<unknown>,
  input: Input,
  other: Partial<Input>,
): Promise<void> {
  const keyed = { ...input, idempotency_key: newName('key') }
  const answer = (await call(keyed)) as { run_id?: string }
  const again = (await call(keyed)) as { run_id?: string }
  is(again.run_id, answer.run_id)
  await refused(call({ ...keyed, ...other }), 'IDEMPOTENCY_MISMATCH')
}

/** A lock of the caller, and a run that was started with it; the lock's lease is over or its grant ended. */
export async function withLostLock(stage: Stage, how: 'ended' | 'expired', begin: (more: object) => Promise<string>) {
  const name = newName('lock')
  const { lock_id } = await stage.api.locks.acquire({ name, holder: 'agent-1', lease_duration_s: 60 })
  const run_id = await begin({ lock: name })
  if (how === 'ended') await stage.api.locks.release({ lock_id })
  else stage.clock.advance(61_000)
  return run_id
}

export const codes = { ended: 'STALE_TOKEN', expired: 'LEASE_EXPIRED' } as const
