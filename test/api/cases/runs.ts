import { equal, is, ok } from 'uvu/assert'
import { becca, type Cases, newName, refused, type Stage, stranger } from '../stage.ts'

const of = { case_id: 'CASE-17', lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT' } as const
const error = { error_code: 'E1', message: 'it broke', retryable: true }
const artifact = { artifact_id: 'art-1', artifact_kind: 'transcript', hash_sha256: 'ab'.repeat(32) }
const ofAnother = { ...artifact, case_id: 'CASE-18' }
const done = { outcome_reason: 'done' }
const actionOf = (run_id: string, name = 'dictation.start') => ({
  action_type: 'tool_call' as const,
  lane_id: of.lane_id,
  scope: { case_id: of.case_id, client_session_id: 'session-1', run_id },
  target: { name },
})

/** An orchestrator, created. */
async function created({ api }: Stage, more: object = {}): Promise<string> {
  const run_id = newName('run_orchestrator')
  await api.runs.create({ run_id, run_kind: 'orchestrator', ...more })
  return run_id
}

/** An orchestrator, running. */
async function running(stage: Stage, more: object = {}): Promise<string> {
  const run_id = await created(stage)
  await stage.api.runs.start({ run_id, ...more })
  return run_id
}

/** A run in the lane for interviews, running. */
async function tool({ api }: Stage, more: object = {}): Promise<string> {
  const run_id = newName('run_tool')
  await api.runs.create({ ...of, run_id, run_kind: 'tool_gateway' })
  await api.runs.start({ run_id, ...more })
  return run_id
}

const unmarked = { contains_phi: false, contains_pii: false, contains_privileged: false }
const sanitized = { ...artifact, artifact_kind: 'playbook', confidentiality: unmarked }
const human = { actor_id: 'ana', actor_type: 'human' } as const
const knowledge = { lane_id: 'PROMOTE_SHARED_KNOWLEDGE', role_id: 'ATTORNEY_ADMIN', actor: human } as const

/** A running run in a lane that prohibits free text. */
async function terse({ api }: Stage): Promise<{ actor: typeof human; run_id: string }> {
  const run_id = newName('run_terse')
  await api.runs.create({ ...knowledge, run_id, run_kind: 'promotion' })
  await api.runs.start({ run_id, actor: human })
  return { actor: human, run_id }
}

const promotionOf = (run_id: string, ticket = 'PT-1') => ({
  action_type: 'promotion' as const,
  lane_id: knowledge.lane_id,
  scope: { promotion_ticket_id: ticket, run_id, attorney_signoff: true },
  target: { name: 'shared_playbooks', mode: 'append' },
  artifacts: [sanitized],
})

/** A tool run with an allowed action that is not recorded. */
async function allowed(stage: Stage, more: object = {}) {
  const run_id = await tool(stage, more)
  const { decision_id } = await stage.api.runs.authorize({ run_id, action: actionOf(run_id) })
  return { decision_id, run_id }
}

async function completed(stage: Stage): Promise<string> {
  const run_id = await running(stage)
  await stage.api.runs.complete({ run_id, ...done })
  return run_id
}

/** The refusals that every command on a run has. */
async function onAnyRun(stage: Stage, call: (input: { run_id: string }) => Promise<unknown>): Promise<void> {
  await refused(call({ run_id: newName('run_nowhere') }), 'NOT_FOUND')
  const run_id = await running(stage, { lease_duration_s: 60 })
  await refused(call({ run_id, actor: stranger } as { run_id: string }), 'NOT_RUN_ACTOR')
  stage.clock.advance(61_000)
  await refused(call({ run_id }), 'RUN_LEASE_EXPIRED')
}

/** The same key and content is answered as before; the same key with other content is refused. */
async function asBefore<Input extends object>(
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
async function withLostLock(stage: Stage, how: 'ended' | 'expired', begin: (more: object) => Promise<string>) {
  const name = newName('lock')
  const { lock_id } = await stage.api.locks.acquire({ name, holder: 'agent-1', lease_duration_s: 60 })
  const run_id = await begin({ lock: name })
  if (how === 'ended') await stage.api.locks.release({ lock_id })
  else stage.clock.advance(61_000)
  return run_id
}

const codes = { ended: 'STALE_TOKEN', expired: 'LEASE_EXPIRED' } as const

export const runs: Cases<'runs'> = {
  begin: async ({ api }) => {
    await api.policy.reload()
  },
  of: {
    create: {
      'makes a run, and by the same key the same one again': async ({ api }) => {
        const record = await api.runs.create({ run_kind: 'orchestrator' })
        equal([record.status, record.actor?.actor_id], ['created', 'agent-1'])
        await asBefore(api.runs.create, { run_kind: 'orchestrator', tags: ['one'] }, { tags: ['two'] })
      },
      'refuses an id that is taken, and a parent that cannot have it': async (stage) => {
        const { create } = stage.api.runs
        const run_id = await created(stage)
        await refused(create({ run_id, run_kind: 'orchestrator' }), 'INVALID_STATE_TRANSITION')
        await refused(create({ run_id, run_kind: 'orchestrator', actor: stranger }), 'NOT_RUN_ACTOR')
        await refused(create({ parent_run_id: 'run_nowhere', run_kind: 'agent' }), 'NOT_FOUND')
        await refused(create({ parent_run_id: await completed(stage), run_kind: 'agent' }), 'RUN_NOT_ACTIVE')
        const parent_run_id = await running(stage, { lease_duration_s: 60 })
        stage.clock.advance(61_000)
        await refused(create({ parent_run_id, run_kind: 'agent' }), 'RUN_LEASE_EXPIRED')
        const top = await running(stage)
        await refused(create({ parent_run_id: top, run_kind: 'agent', root_run_id: 'run_other' }), 'RUN_DENIED')
        const inputs = { artifact_refs: [ofAnother] }
        await refused(create({ ...of, run_kind: 'tool_gateway', inputs }), 'RUN_DENIED')
        const notes = 'what the client said'
        await refused(create({ ...knowledge, run_kind: 'promotion', notes }), 'RUN_DENIED')
        const named = { ...knowledge, run_id: 'run of the client' }
        await refused(create({ ...named, run_kind: 'promotion' }), 'FREE_TEXT_DENIED')
      },
    },
    start: {
      'moves a run to running, once': async (stage) => {
        const { start } = stage.api.runs
        const run_id = await created(stage)
        equal(
          [(await start({ run_id })).status, (await refused(start({ run_id }), 'INVALID_STATE_TRANSITION')).code],
          ['running', 'INVALID_STATE_TRANSITION'],
        )
        await asBefore(start, { run_id: await created(stage) } as { run_id: string; lease_duration_s?: number }, {
          lease_duration_s: 60,
        })
        await onAnyRun(stage, start)
        await refused(start({ run_id: await created(stage), lock: newName('free') }), 'LOCK_NOT_HELD')
        const promotion = { actor: human, run_id: newName('run_terse') }
        await stage.api.runs.create({ ...knowledge, ...promotion, run_kind: 'promotion' })
        await refused(start({ ...promotion, taxonomy_versions: { coa: 'two words' } }), 'FREE_TEXT_DENIED')
        const versions = { lanes: 'main', roles: 'main' }
        await refused(start({ run_id: await created(stage), policy_versions: versions }), 'RUN_DENIED')
      },
    },
    heartbeat: {
      'starts the lease anew, each time': async (stage) => {
        const { heartbeat } = stage.api.runs
        const run_id = await running(stage, { lease_duration_s: 60 })
        stage.clock.advance(40_000)
        await heartbeat({ run_id })
        stage.clock.advance(40_000)
        is((await heartbeat({ run_id })).status, 'running')
        await refused(heartbeat({ run_id: await completed(stage) }), 'RUN_NOT_ACTIVE')
        await refused(heartbeat({ run_id: await running(stage) }), 'INVALID_INPUT')
        await onAnyRun(stage, heartbeat)
        const [one, other] = [await running(stage, { lease_duration_s: 60 }), await running(stage)]
        await asBefore(heartbeat, { run_id: one }, { run_id: other })
      },
    },
    authorize: {
      'allows, or denies and ends the run': async (stage) => {
        const { authorize } = stage.api.runs
        const run_id = await tool(stage)
        const allow = await authorize({ run_id, action: actionOf(run_id) })
        equal([allow.decision, allow.reason], ['allow', null])
        const deny = await authorize({ run_id, action: actionOf(run_id, 'rm.all') })
        equal([deny.decision, deny.reason], ['deny', 'not_permitted'])
        await refused(authorize({ run_id, action: actionOf(run_id) }), 'RUN_NOT_ACTIVE')
        await onAnyRun(stage, (input) => authorize({ ...input, action: actionOf(input.run_id) }))
        const free = await terse(stage)
        const action = promotionOf(free.run_id, 'two words')
        const text = await authorize({ ...free, action })
        equal([text.decision, text.rule_ids], ['deny', [`lane:${knowledge.lane_id}/prohibits/raw_case_text`]])
        const again = await tool(stage)
        const input = { run_id: again, action: actionOf(again), idempotency_key: newName('key') }
        const { decision_id } = await authorize(input)
        const repeated = await authorize(input)
        equal([repeated.decision_id, repeated.replayed], [decision_id, true])
        await refused(authorize({ ...input, action: actionOf(again, 'dictation.stop') }), 'IDEMPOTENCY_MISMATCH')
      },
    },
    record: {
      'takes the outcome of an allowed action, once': async (stage) => {
        const { record } = stage.api.runs
        const { decision_id, run_id } = await allowed(stage)
        const input = { run_id, decision_id, outcome: 'success' as const, output_artifacts: [artifact] }
        equal((await record(input)).outputs?.artifact_refs, [artifact])
        await refused(record(input), 'DECISION_NOT_OPEN')
        await onAnyRun(stage, (any) => record({ ...any, decision_id, outcome: 'success' }))
        await refused(record({ ...input, run_id: await completed(stage) }), 'RUN_NOT_ACTIVE')
        const free = await terse(stage)
        const { decision_id: promotion } = await stage.api.runs.authorize({ ...free, action: promotionOf(free.run_id) })
        const success = { ...free, decision_id: promotion, outcome: 'success' as const, output_artifacts: [sanitized] }
        const said = { ...success, outcome_reason: 'two words' }
        await refused(record(said), 'FREE_TEXT_DENIED')
        const open = await allowed(stage)
        await refused(record({ ...open, outcome: 'failure', output_artifacts: [artifact] }), 'OUTPUTS_DENIED')
        await asBefore(record, { ...open, outcome: 'success' as 'failure' | 'success' }, { outcome: 'failure' })
      },
      'denies the run if its outputs are of another case': async (stage) => {
        const { decision_id, run_id } = await allowed(stage)
        const input = { run_id, decision_id, outcome: 'success' as const, output_artifacts: [ofAnother] }
        const { details } = await refused(stage.api.runs.record(input), 'RUN_DENIED')
        equal(details.rule_ids, ['lane:TOOL_INTERVIEW_CAPTURE/prohibits/cross_case_lookup'])
        is((await stage.api.runs.get({ run_id })).outputs, undefined)
      },
      'is refused once the lock of the run is lost': async (stage) => {
        for (const how of ['ended', 'expired'] as const) {
          let decision_id = ''
          const run_id = await withLostLock(stage, how, async (more) => {
            const begun = await allowed(stage, more)
            decision_id = begun.decision_id
            return begun.run_id
          })
          await refused(stage.api.runs.record({ run_id, decision_id, outcome: 'success' }), codes[how])
        }
      },
    },
    complete: {
      'ends a run, once': async (stage) => {
        const { complete } = stage.api.runs
        const run_id = await running(stage)
        is((await complete({ run_id, ...done })).status, 'completed')
        await refused(complete({ run_id, ...done }), 'INVALID_STATE_TRANSITION')
        await onAnyRun(stage, (input) => complete({ ...input, ...done }))
        await asBefore(complete, { run_id: await running(stage), ...done }, { outcome_reason: 'other' })
        const open = await allowed(stage)
        await refused(complete({ run_id: open.run_id, ...done }), 'RUN_HAS_OPEN_ACTION')
        await refused(complete({ ...(await terse(stage)), outcome_reason: 'two words' }), 'FREE_TEXT_DENIED')
        const turn = { run_id: await running(stage), turn_id: 'turn-0001' }
        await stage.api.turns.stage({ ...turn, triplets: [{ stem: 'one', body: {} }] })
        await refused(complete({ run_id: turn.run_id, ...done }), 'RUN_HAS_OPEN_TURN')
        is((await complete({ run_id: turn.run_id, ...done, discard_turn: true })).status, 'completed')
      },
      'denies the run if its outputs are of another case': async (stage) => {
        const input = { run_id: await tool(stage), ...done, output_artifacts: [ofAnother] }
        await refused(stage.api.runs.complete(input), 'RUN_DENIED')
        const { denied } = await stage.api.runs.why({ run_id: input.run_id })
        equal(denied?.rule_ids, ['lane:TOOL_INTERVIEW_CAPTURE/prohibits/cross_case_lookup'])
      },
      'releases the lock of the run, or is refused once that is lost': async (stage) => {
        const { complete } = stage.api.runs
        for (const how of ['ended', 'expired'] as const) {
          const run_id = await withLostLock(stage, how, (more) => running(stage, more))
          await refused(complete({ run_id, ...done }), codes[how])
        }
        const name = newName('lock')
        await stage.api.locks.acquire({ name, holder: 'agent-1' })
        await complete({ run_id: await running(stage, { lock: name }), ...done, release_lock: true })
        is((await stage.api.locks.status({ name })).state, 'free')
      },
      'releases the lock of a project for the release authority alone': async (stage) => {
        const begin = async (conditions: string[]) => {
          const slug = newName('slug').replace('_', '-')
          const run_id = `run_ACME_${slug}_2026-02-02_001`
          const target_name = `IAMBECCA | ACME | GOVERNANCE | ${slug} | NEO`
          const { name } = await stage.api.locks.acquire({ run_id, target_name, release_conditions: conditions })
          await stage.api.runs.create({ run_id, run_kind: 'orchestrator' })
          await stage.api.runs.start({ run_id, lock: name })
          return { run_id, ...done, release_lock: true }
        }
        const input = await begin(['state == COMPLETE'])
        await refused(stage.api.runs.complete(input), 'RELEASE_DENIED')
        is((await stage.api.runs.complete({ ...input, actor: becca })).status, 'completed')
        const unmet = await begin(['manual override by BECCA'])
        await refused(stage.api.runs.complete({ ...unmet, actor: becca }), 'RELEASE_CONDITION_UNMET')
      },
    },
    fail: {
      'ends a run with its error, once': async (stage) => {
        const { fail } = stage.api.runs
        const input = { run_id: await running(stage), outcome_reason: 'broke', error }
        equal(
          [(await fail(input)).status, (await stage.api.runs.get({ run_id: input.run_id })).error],
          ['failed', error],
        )
        await refused(fail(input), 'INVALID_STATE_TRANSITION')
        await onAnyRun(stage, (any) => fail({ ...input, ...any }))
        await asBefore(fail, { ...input, run_id: await running(stage) }, { outcome_reason: 'other' })
        await refused(fail({ ...input, ...(await terse(stage)), outcome_reason: 'two words' }), 'FREE_TEXT_DENIED')
        await refused(fail({ ...input, run_id: await tool(stage), output_artifacts: [artifact] }), 'OUTPUTS_DENIED')
      },
    },
    deny: { 'ends a run, once': (stage) => ends(stage, 'deny', 'denied') },
    cancel: { 'ends a run, once': (stage) => ends(stage, 'cancel', 'cancelled') },
    retry: {
      'makes a new run in the place of a failed one, once': async (stage) => {
        const { fail, retry } = stage.api.runs
        const failed = async (more = {}) => {
          const run_id = await running(stage)
          await fail({ run_id, outcome_reason: 'broke', error: { ...error, ...more } })
          return { run_id, retry_reason: 'once more' }
        }
        const input = await failed()
        const record = await retry(input)
        equal([record.status, record.metadata?.retry_of], ['created', input.run_id])
        await refused(retry(input), 'RUN_ALREADY_RETRIED')
        await refused(retry(await failed({ retryable: false })), 'RUN_NOT_RETRYABLE')
        await refused(retry({ ...input, run_id: 'run_nowhere' }), 'NOT_FOUND')
        await refused(retry({ ...(await failed()), actor: stranger }), 'NOT_RUN_ACTOR')
        const taken = await created(stage)
        await refused(retry({ ...(await failed()), new_run_id: taken }), 'INVALID_STATE_TRANSITION')
        await asBefore(retry, await failed(), { retry_reason: 'other' })
        const free = await terse(stage)
        await fail({ ...free, outcome_reason: 'broke', error: { ...error, message: 'broke' } })
        await refused(retry({ ...free, retry_reason: 'two words' }), 'FREE_TEXT_DENIED')
        const expired = await running(stage, { lease_duration_s: 60 })
        stage.clock.advance(61_000)
        await refused(retry({ run_id: expired, retry_reason: 'x' }), 'RUN_LEASE_EXPIRED')
      },
    },
    get: {
      'gives the record of a run': async (stage) => {
        const run_id = await created(stage)
        is((await stage.api.runs.get({ run_id })).run_id, run_id)
        await refused(stage.api.runs.get({ run_id: 'run_nowhere' }), 'NOT_FOUND')
      },
    },
    list: {
      'gives runs page by page': async (stage) => {
        const { list } = stage.api.runs
        for (const _ of [1, 2, 3]) await created(stage, { case_id: 'CASE-99' })
        const page = await list({ case_id: 'CASE-99', limit: 2 })
        const rest = await list({ case_id: 'CASE-99', cursor: page.next ?? '' })
        equal([page.runs.length, rest.runs.length, rest.next], [2, 1, null])
        ok((await list()).runs.length > 0)
        await refused(list({ cursor: 'run_nowhere' }), 'NOT_FOUND')
      },
    },
    tree: {
      'gives a run and all below it': async (stage) => {
        const run_id = await running(stage)
        const child = await created(stage, { parent_run_id: run_id })
        const tree = await stage.api.runs.tree({ run_id })
        equal(
          tree.children.map(({ run }) => run.run_id),
          [child],
        )
        await refused(stage.api.runs.tree({ run_id: 'run_nowhere' }), 'NOT_FOUND')
      },
    },
    why: {
      'gives the reasons for the state of a run': async (stage) => {
        const { authorize, why } = stage.api.runs
        const { decision_id, run_id } = await allowed(stage, { lease_duration_s: 60 })
        equal((await why({ run_id })).missing_events, [`tool_call of ${decision_id}`, 'the end'])
        await authorize({ run_id, action: actionOf(run_id, 'rm.all') })
        equal((await why({ run_id })).denied?.reason, 'not_permitted')
        await refused(why({ run_id: 'run_nowhere' }), 'NOT_FOUND')
      },
    },
  },
}

/** An end that takes a reason alone. */
async function ends(stage: Stage, verb: 'cancel' | 'deny', status: string): Promise<void> {
  const call = stage.api.runs[verb]
  const input = { run_id: await running(stage), outcome_reason: 'no' }
  is((await call(input)).status, status)
  await refused(call(input), 'INVALID_STATE_TRANSITION')
  await onAnyRun(stage, (any) => call({ ...input, ...any }))
  await asBefore(call, { ...input, run_id: await running(stage) }, { outcome_reason: 'other' })
  await refused(call({ ...(await terse(stage)), outcome_reason: 'two words' }), 'FREE_TEXT_DENIED')
}
