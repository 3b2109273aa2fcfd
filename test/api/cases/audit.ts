import { equal, is, ok } from 'uvu/assert'
import { type Cases, newName, refused, type Stage, stranger } from '../stage.ts'
import { sanitized } from './run-stage.ts'

const event = { action_type: 'system', outcome: 'success' } as const
const artifact = { artifact_id: 'art-1', artifact_kind: 'transcript', hash_sha256: 'ab'.repeat(32) }

/** A run that is running in a lane, and its open allow. */
async function allowed({ api }: Stage, more: object = {}) {
  const run_id = newName('run_audited')
  const of = { case_id: 'CASE-17', lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT' }
  await api.runs.create({ ...of, run_id, run_kind: 'tool_gateway' })
  await api.runs.start({ run_id, ...more })
  const { decision_id } = await api.runs.authorize({
    run_id,
    action: {
      action_type: 'tool_call',
      lane_id: of.lane_id,
      scope: { case_id: of.case_id, client_session_id: 's', run_id },
      target: { name: 'dictation.start' },
    },
  })
  return { action_type: 'tool_call' as const, decision_id, outcome: 'success' as const, run_id }
}

export const audit: Cases<'audit'> = {
  begin: async ({ api }) => {
    await api.policy.reload()
  },
  of: {
    append: {
      'appends all or none, and by the same key once': async ({ api }) => {
        const { append } = api.audit
        const input = { events: [event, event], idempotency_key: newName('key') }
        const { events } = await append(input)
        equal(await append(input), { events, replayed: true })
        await refused(append({ ...input, events: [event] }), 'IDEMPOTENCY_MISMATCH')
        const { size } = await api.head.get()
        await refused(append({ events: [event, { ...event, corrects: 'evt_nowhere_1' }] }), 'NOT_FOUND')
        await refused(append({ events: [event], expected_size: size - 1 }), 'SIZE_MISMATCH')
        is((await append({ events: [event], expected_size: size })).events[0]?.seq, size)
        await refused(append({ events: [] }), 'INVALID_INPUT')
      },
      'refuses an actor that says how it is known: only the ledger says that': async ({ api }) => {
        const { size } = await api.head.get()
        for (const authn of ['os:root', 'token:tok_1', '']) {
          const actor = { ...stranger, authn }
          await refused(api.audit.append({ actor, events: [event] }), 'INVALID_INPUT')
          await refused(api.runs.create({ run_actor: actor, run_kind: 'orchestrator' }), 'INVALID_INPUT')
        }
        is((await api.head.get()).size, size)
      },
      'holds to a guard': async (stage) => {
        const { append } = stage.api.audit
        const name = newName('guard')
        const { lock_id, token } = await stage.api.locks.acquire({ name, holder: 'agent-1', lease_duration_s: 60 })
        const input = { events: [event], guard: { name, token } }
        is((await append(input)).replayed, false)
        stage.clock.advance(61_000)
        await refused(append(input), 'LEASE_EXPIRED')
        await stage.api.locks.release({ lock_id })
        await refused(append(input), 'STALE_TOKEN')
      },
      'records the actions of a run': async (stage) => {
        const { append } = stage.api.audit
        const act = await allowed(stage, { lease_duration_s: 60 })
        await refused(append({ events: [act], actor: stranger }), 'NOT_RUN_ACTOR')
        await refused(append({ events: [{ ...act, run_id: 'run_nowhere' }] }), 'NOT_FOUND')
        const failed = { ...act, outcome: 'failure' as const, output_artifacts: [artifact] }
        await refused(append({ events: [failed] }), 'OUTPUTS_DENIED')
        const invented = { ...act, output_artifacts: [{ ...artifact, artifact_kind: 'export_bundle' }] }
        await refused(append({ events: [invented] }), 'BUNDLE_NOT_RECORDED')
        await append({ events: [act] })
        await refused(append({ events: [act] }), 'DECISION_NOT_OPEN')
        const outside = { ...artifact, storage_locator: 'https://host.example/x' }
        const exported = { ...(await allowed(stage)), output_artifacts: [outside] }
        await refused(append({ events: [exported] }), 'RUN_DENIED')
        stage.clock.advance(61_000)
        await refused(append({ events: [act] }), 'RUN_LEASE_EXPIRED')
        await refused(append({ events: [act] }), 'RUN_NOT_ACTIVE')
      },
      'takes no statement that looks like an event of the ledger': async ({ api }) => {
        const { append } = api.audit
        const target = { name: 'reports', operation: 'lock.release', target_type: 'artifact' } as const
        await refused(append({ events: [event, { ...event, target }] }), 'STATEMENT_DENIED')
        const override = { action_type: 'override', outcome: 'success', outcome_reason: 'x' } as const
        await refused(append({ actor: stranger, events: [override] }), 'OVERRIDE_DENIED')
        const own = { ...event, case_id: 'CASE-17', input_artifacts: [artifact], lane_id: 'L', role_id: 'R' }
        const { events } = await append({ events: [own] })
        const [stated] = (await api.audit.list({ cursor: events[0]?.seq })).events
        equal([stated?.stated, stated?.case_id, stated?.role_id], [true, 'CASE-17', 'R'])
      },
      'takes no override below a run that has ended': async ({ api }) => {
        const parent_run_id = newName('run_parent')
        const run_id = newName('run_below')
        for (const of of [{ run_id: parent_run_id }, { parent_run_id, run_id }]) {
          await api.runs.create({ ...of, run_kind: 'orchestrator' })
          await api.runs.start({ run_id: of.run_id })
        }
        await api.runs.cancel({ run_id: parent_run_id, outcome_reason: 'over' })
        const override = { ...event, action_type: 'override' as const, outcome_reason: 'urgent', run_id }
        await refused(api.audit.append({ events: [override] }), 'RUN_ANCESTOR_ENDED')
      },
      'takes no free text where the lane prohibits it, and no shared knowledge that the run did not write': async ({
        api,
      }) => {
        const actor = { actor_id: 'ana', actor_type: 'human' } as const
        const of = { actor, run_id: newName('run_terse') }
        const lane = { lane_id: 'PROMOTE_SHARED_KNOWLEDGE', role_id: 'ATTORNEY_ADMIN' }
        await api.runs.create({ ...lane, ...of, run_kind: 'promotion' })
        await api.runs.start(of)
        const noted = { ...event, run_id: of.run_id, notes: 'what the client said' }
        await refused(api.audit.append({ actor, events: [noted] }), 'FREE_TEXT_DENIED')
        const shared = { ...event, run_id: of.run_id, output_artifacts: [{ ...sanitized, scope: 'shared' as const }] }
        await refused(api.audit.append({ actor, events: [shared] }), 'PROMOTION_NOT_RECORDED')
      },
    },
    list: {
      'gives events page by page, oldest first': async ({ api }) => {
        const { append, list } = api.audit
        const actor = { actor_id: newName('agent'), actor_type: 'agent' } as const
        await append({ actor, events: [event, event, event] })
        const query = { actor_id: actor.actor_id, limit: 2 }
        const page = await list(query)
        const rest = await list({ ...query, cursor: page.next })
        equal([page.events.length, page.complete, rest.events.length, rest.complete], [2, false, 1, true])
        ok((await list()).events.length > 0)
        equal((await list({ run_id: 'run_nowhere' })).events, [])
      },
    },
    entries: {
      'gives the same page as entries': async ({ api }) => {
        await api.audit.append({ events: [event] })
        const [page, entries] = [await api.audit.list(), await api.audit.entries()]
        equal(
          entries.events.map(({ event_id }) => event_id),
          page.events.map(({ event_id }) => event_id),
        )
        equal((await api.audit.entries({ lock: newName('never') })).events, [])
      },
    },
  },
}
