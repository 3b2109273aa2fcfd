import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { auditEventSchema } from '../../src/domain/audit/audit-event.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

const roles = suite('the role, the ticket and the reason of an action')

const governed = (work: (ledger: LocalLedger) => Promise<void>) =>
  withLedger((ledger) => work(ledger).catch(asPlainError), { policy: true })

const run_id = 'run_promote1'
const lane_id = 'PROMOTE_SHARED_KNOWLEDGE'

roles('are in the audit events of a run, so that a reader needs no other document', async () => {
  await governed(async (ledger) => {
    const create = { case_id: 'CASE-17', lane_id, role_id: 'GOVERNANCE_AGENT', run_id, run_kind: 'promotion' as const }
    await ledger.runs.create(create)
    await ledger.runs.start({ run_id })
    const scope = { attorney_signoff: true, promotion_ticket_id: 'T-9', run_id }
    await ledger.runs.authorize({ action: { action_type: 'promotion', lane_id, scope, target: { name: 'x' } }, run_id })
    const { events } = await ledger.audit.list({ run_id })
    for (const event of events) {
      const document = JSON.parse(JSON.stringify(event)) as unknown
      equal(auditEventSchema.parse(document), document)
      is(event.role_id, 'GOVERNANCE_AGENT', event.target?.operation ?? event.action_type)
    }
    const decision = events.find(({ authz }) => authz?.scope)
    equal(decision?.authz?.scope, [
      { key: 'attorney_signoff', value: 'true' },
      { key: 'promotion_ticket_id', value: 'T-9' },
      { key: 'run_id', value: run_id },
    ])
  })
})

roles('stay those of the run if another actor calls', async () => {
  await governed(async (ledger) => {
    const run_actor = { actor_id: 'agent-9', actor_type: 'agent', role_id: 'GOVERNANCE_AGENT' } as const
    await ledger.runs.create({ lane_id, run_actor, run_id, run_kind: 'promotion' })
    await ledger.runs.cancel({ actor: { actor_id: 'BECCA', actor_type: 'human' }, outcome_reason: 'over', run_id })
    const { events } = await ledger.audit.list({ run_id })
    equal(
      events.map(({ actor, role_id }) => [actor.actor_id, role_id]),
      [
        [ledger.actor.actor_id, 'GOVERNANCE_AGENT'],
        ['BECCA', 'GOVERNANCE_AGENT'],
      ],
    )
  })
})

roles('of a retry are those of the failed run', async () => {
  await governed(async (ledger) => {
    await ledger.runs.create({ lane_id, role_id: 'GOVERNANCE_AGENT', run_id, run_kind: 'promotion' })
    await ledger.runs.start({ run_id })
    const error = { error_code: 'TIMEOUT', message: 'TIMEOUT', retryable: true }
    await ledger.runs.fail({ error, outcome_reason: 'TIMEOUT', run_id })
    const retried = await ledger.runs.retry({ retry_reason: 'again', run_id })
    const { events } = await ledger.audit.list({ run_id: retried.run_id })
    equal(
      events.map(({ role_id }) => role_id),
      ['GOVERNANCE_AGENT'],
    )
  })
})

roles.run()
