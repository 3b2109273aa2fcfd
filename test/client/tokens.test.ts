import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { type Client, connect } from '../../src/client.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { serve } from '../../src/service/serve.ts'
import { becca, refused } from '../api/stage.ts'
import { StageClock } from '../ledger/stage.ts'
import { withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

const test = suite('the tokens of the ledger at its service')
const agent = { actor_id: 'agent-7', actor_type: 'agent' } as const
const event = { action_type: 'system', outcome: 'success' } as const

test('open the gate by their grants, until they are revoked or expire; the ledger decides by the actor', () => {
  const clock = new StageClock()
  const work = async (ledger: LocalLedger) => {
    const service = await serve(ledger, { log: false })
    const clients: Client[] = []
    const bearing = async (token: string | null) => {
      const client = await connect({ dir: ledger.dir, token: token ?? '' })
      clients.push(client)
      return client
    }
    try {
      await judge(ledger, bearing)
    } finally {
      for (const client of clients) await client.close()
      await service.close()
    }
  }
  const judge = async (ledger: LocalLedger, bearing: (token: string | null) => Promise<Client>) => {
    const first = await ledger.tokens.create({ actor: becca, grants: ['operator'], token_actor: becca })
    const operator = await bearing(first.secret)
    const { secret, token_id } = await operator.tokens.create({ grants: ['agent'], roles: ['R'], token_actor: agent })
    const bearer = await bearing(secret)
    const { events } = await bearer.audit.append({ actor: { ...agent, role_id: 'R' }, events: [event] })
    const { actor } = await ledger.log.entry({ seq: events[0]?.seq ?? 0 })
    equal(actor, { ...agent, authn: `token:${token_id}`, role_id: 'R' })
    await refused(bearer.audit.append({ actor: { ...agent, role_id: 'S' }, events: [event] }), 'FORBIDDEN')
    await refused(bearer.tokens.list(), 'FORBIDDEN')
    await refused(operator.locks.acquire({ holder: 'h', name: 'n' }), 'FORBIDDEN')

    const both = { grants: ['agent' as const, 'operator' as const], token_actor: agent }
    const other = await bearing((await operator.tokens.create({ ...both, expires_in_s: 60 })).secret)
    await refused(other.tokens.create(both), 'TOKEN_DENIED')
    await other.head.get()
    clock.pass(60_000)
    await refused(other.head.get(), 'UNAUTHENTICATED')

    await operator.tokens.revoke({ token_id })
    await refused(bearer.head.get(), 'UNAUTHENTICATED')
    const statuses = (await operator.tokens.list()).tokens.map(({ status }) => status)
    equal(statuses.sort(), ['expired', 'revoked', 'valid'])
    is((await ledger.log.verify()).size, (await ledger.head.get()).size)
  }
  return withLedger(work, { now: clock.now }).catch(asPlainError)
})

test.run()
