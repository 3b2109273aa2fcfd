import type { CompleteRun } from '../api/shapes/runs.ts'
import { codes, LockstepError } from '../errors.ts'
import type { Config } from '../kernel/config.ts'
import type { Runs } from '../nouns/runs/runs.ts'
import type { Asked } from './asked.ts'
import type { ToolCall } from './event.ts'
import type { Reply } from './forms.ts'
import { digestOf } from './records.ts'
import { notPermitted } from './sentences.ts'
import type { Begun } from './sessions.ts'

type Before = Asked<'before_tool'>
/** The run of a call of a tool, and the allow that it acts on. */
type RunOfCall = NonNullable<Begun['run']>

/** What runs of hooks depend on besides their event. */
interface Ground {
  keep: () => void
  runs: Pick<Runs, 'begin'>
  settings: Config['hooks']
}

/** The lane of the policy for coding agents in which a tool is called. */
function laneOf({ kind, name }: Pick<ToolCall, 'kind' | 'name'>): 'edit' | 'network' | 'shell' {
  if (kind === 'network' || /^(?:mcp_|MCP:)/.test(name)) return 'network'
  return kind === 'shell' ? 'shell' : 'edit'
}

/**
 * Begins the run of a call: a child of the session's run, which is made with the first call. Returns the run if lanes and
 * roles allow the call, and otherwise the denial, which ends this run alone. Cost: one append.
 */
export async function beginCall(asked: Before, ground: Ground): Promise<RunOfCall | Reply> {
  const { actor, event, main } = asked
  const { role_id } = ground.settings
  try {
    const { decision, decision_id, reason, rule_ids, run_id } = await ground.runs.begin({
      actor: main.actor,
      correlation_id: event.session_id,
      lane_id: laneOf(event.tool),
      parent_run_id: await runOfSession(asked, ground),
      role_id,
      run_actor: actor,
      tool: event.tool.name,
    })
    if (decision === 'allow') return { decision_id, run_id }
    return { kind: 'deny', text: notPermitted(event.tool.name, `${reason}: ${rule_ids.join(', ')}`) }
  } catch (error) {
    // A refusal is an answer. An error of the ledger is none.
    if (!(error instanceof LockstepError) || codes[error.code].status >= 429) throw error
    return { kind: 'deny', text: notPermitted(event.tool.name, error.message) }
  }
}

/** The run of the session: the one that it has, or a new one, whose work ends with the process of the harness. */
async function runOfSession({ event, main, session }: Before, { keep, settings }: Ground): Promise<string> {
  if (session.run_id !== undefined) return session.run_id
  const { run_id } = await main.runs.create({
    correlation_id: event.session_id,
    lane_id: 'edit',
    role_id: settings.role_id,
    run_kind: 'agent',
  })
  session.run_id = run_id
  keep()
  await main.runs.start({ run_id, ...(session.process === undefined ? {} : { pids: [session.process.pid] }) })
  return run_id
}

/** Records the call in its run, and ends the run. Cost: two appends. */
export async function endCall(
  { event, main }: Pick<Asked<'after_tool'>, 'event' | 'main'>,
  { decision_id, run_id }: RunOfCall,
): Promise<void> {
  const { is_failure, response, session_id, tool } = event
  await main.runs.record({
    decision_id,
    idempotency_key: `${session_id}:${tool.id}`,
    outcome: is_failure ? 'failure' : 'success',
    request_hash_sha256: digestOf(tool.input ?? null),
    ...(response === undefined ? {} : { response_hash_sha256: digestOf(response) }),
    run_id,
  })
  await (is_failure ? failed(main, run_id, 'TOOL_FAILED') : main.runs.complete({ outcome_reason: 'called', run_id }))
}

/** Ends the run of a call that a lock stopped after the policy had allowed it. */
export async function stopCall(
  { event, main }: Before,
  { decision_id, run_id }: RunOfCall,
  code: string,
): Promise<void> {
  const key = `${event.session_id}:${event.tool.id}`
  await main.runs.record({ decision_id, idempotency_key: key, outcome: 'failure', outcome_reason: code, run_id })
  await failed(main, run_id, code)
}

function failed({ runs }: Asked['main'], run_id: string, error_code: string): Promise<unknown> {
  return runs.fail({ error: { error_code, message: error_code, retryable: false }, outcome_reason: error_code, run_id })
}

/** Ends the run of a session, and the runs of calls that nobody told the end of. */
export async function endSession({ main, session }: Pick<Asked, 'main' | 'session'>): Promise<void> {
  const { run_id } = session
  if (run_id === undefined) return
  session.run_id = undefined
  for (const { run } of session.begun.values()) {
    if (run !== undefined) await orEnded(failed(main, run.run_id, 'NO_END'))
  }
  const of: CompleteRun = { outcome_reason: 'the session ended', run_id }
  await orEnded(main.runs.complete(of))
}

/** A run that somebody else has ended meanwhile needs no other end. */
async function orEnded(ending: Promise<unknown>): Promise<void> {
  try {
    await ending
  } catch (error) {
    if (!(error instanceof LockstepError) || codes[error.code].status >= 429) throw error
  }
}
