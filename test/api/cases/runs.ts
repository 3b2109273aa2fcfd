import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { equal, is, ok } from 'uvu/assert'
import { hashRequest } from '../../../src/writer/core.ts'
import { all, becca, type Cases, newName, refused, type Stage, stranger } from '../stage.ts'

import {
  actionOf,
  allowed,
  artifact,
  asBefore,
  child,
  codes,
  completed,
  created,
  done,
  error,
  human,
  knowledge,
  noPid,
  of,
  ofAnother,
  onAnyRun,
  orphaned,
  promotionOf,
  running,
  sanitized,
  terse,
  tool,
  withLostLock,
} from './run-stage.ts'

const invented = { artifact_id: 'bnd-1', artifact_kind: 'export_bundle', hash_sha256: 'ab'.repeat(32) }

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
        await refused(create({ parent_run_id: await completed(stage), run_kind: 'agent' }), 'RUN_ANCESTOR_ENDED')
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
        await refused(start({ run_id: await orphaned(stage, (more) => created(stage, more)) }), 'RUN_ANCESTOR_ENDED')
        await refused(start({ run_id: await created(stage), pids: [noPid] }), 'PID_NOT_FOUND')
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
        await refused(heartbeat({ run_id: await orphaned(stage, (more) => child(stage, more)) }), 'RUN_ANCESTOR_ENDED')
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
        const below = await orphaned(stage, (more) => child(stage, more))
        await refused(authorize({ run_id: below, action: actionOf(below) }), 'RUN_ANCESTOR_ENDED')
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
      'records the digest of the command that the action names, and not its words': async (stage) => {
        const run_id = await tool(stage)
        const command = { argv: ['rec', 'a.wav'], program: { found: '/usr/bin/rec', real: '/usr/bin/rec' } }
        const { decision_id } = await stage.api.runs.authorize({ run_id, action: { ...actionOf(run_id), command } })
        const entries = await all(stage.api.log.read({ from: Number(decision_id.split('_').at(-1)) }))
        const decided = entries.find(({ event_id }) => event_id === decision_id)
        equal(decided?.data.command, { argv_sha256: hashRequest({ command: command.argv }) })
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
        await refused(record({ ...open, outcome: 'success', output_artifacts: [invented] }), 'BUNDLE_NOT_RECORDED')
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
        const below = await orphaned(stage, (more) => child(stage, more))
        await refused(complete({ run_id: below, ...done }), 'RUN_ANCESTOR_ENDED')
        await asBefore(complete, { run_id: await running(stage), ...done }, { outcome_reason: 'other' })
        const open = await allowed(stage)
        await refused(complete({ run_id: open.run_id, ...done }), 'RUN_HAS_OPEN_ACTION')
        const claimed = { run_id: await running(stage), ...done, output_artifacts: [invented] }
        await refused(complete(claimed), 'BUNDLE_NOT_RECORDED')
        await refused(complete({ ...(await terse(stage)), outcome_reason: 'two words' }), 'FREE_TEXT_DENIED')
        await refused(complete({ ...(await terse(stage)), ...done }), 'PROMOTION_NOT_RECORDED')
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
        await refused(
          fail({ ...input, run_id: await tool(stage), output_artifacts: [invented] }),
          'BUNDLE_NOT_RECORDED',
        )
      },
    },
    deny: { 'ends a run, once': (stage) => ends(stage, 'deny', 'denied') },
    cancel: {
      'ends a run, once': (stage) => ends(stage, 'cancel', 'cancelled'),
    },
    cancelTree: {
      'ends a run and all below it, and can be repeated': async (stage) => {
        const { cancelTree, get } = stage.api.runs
        const run_id = await running(stage)
        const below = await child(stage, { parent_run_id: run_id })
        const input = { run_id, outcome_reason: 'no', idempotency_key: newName('key') }
        equal([(await cancelTree(input)).cancelled_below, (await get({ run_id: below })).status], [1, 'cancelled'])
        equal([(await cancelTree(input)).cancelled_below, (await get({ run_id })).status], [0, 'cancelled'])
        await refused(cancelTree({ ...input, outcome_reason: 'other' }), 'IDEMPOTENCY_MISMATCH')
        const no = { outcome_reason: 'no' }
        await refused(cancelTree({ ...no, run_id: newName('run_nowhere') }), 'NOT_FOUND')
        await refused(cancelTree({ ...no, actor: stranger, run_id: await running(stage) }), 'NOT_RUN_ACTOR')
        // However the run at the top ended, those below it end too.
        const denied = await running(stage)
        const expired = await running(stage, { lease_duration_s: 60 })
        for (const [top, status] of [
          [denied, 'denied'],
          [expired, 'failed'],
        ] as const) {
          const left = await child(stage, { parent_run_id: top })
          if (top === denied) await stage.api.runs.deny({ run_id: top, outcome_reason: 'no' })
          else stage.clock.advance(61_000)
          const ended = await cancelTree({ ...no, run_id: top })
          equal(
            [ended.run.status, ended.cancelled_below, (await get({ run_id: left })).status],
            [status, 1, 'cancelled'],
          )
          equal((await cancelTree({ ...no, run_id: top })).cancelled_below, 0)
        }
        await refused(cancelTree({ ...(await terse(stage)), outcome_reason: 'two words' }), 'FREE_TEXT_DENIED')
      },
    },
    recover: {
      'ends a run whose process is dead, once': async (stage) => {
        const { recover } = stage.api.runs
        const process = spawn('sleep', ['100'])
        await once(process, 'spawn')
        const pids = [process.pid ?? 0]
        const free = await terse(stage, { pids })
        const input = { run_id: await running(stage, { pids }), reason: 'killed' }
        await refused(recover(input), 'RUN_NOT_ORPHAN')
        process.kill('SIGKILL')
        await once(process, 'exit')
        await refused(recover({ ...free, reason: 'two words' }), 'FREE_TEXT_DENIED')
        const keyed = { ...input, idempotency_key: newName('key') }
        is((await recover(keyed)).error?.error_code, 'RUN_ORPHANED')
        is((await recover(keyed)).status, 'failed')
        await refused(recover({ ...keyed, reason: 'other' }), 'IDEMPOTENCY_MISMATCH')
        await refused(recover(input), 'RUN_NOT_ACTIVE')
        await refused(recover({ ...input, run_id: 'run_nowhere' }), 'NOT_FOUND')
      },
    },
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
        const below = await orphaned(stage, (more) => child(stage, more))
        await fail({ run_id: below, outcome_reason: 'broke', error })
        await refused(retry({ run_id: below, retry_reason: 'x' }), 'RUN_ANCESTOR_ENDED')
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
