import { suite } from 'uvu'
import { is } from 'uvu/assert'
import type { TokenGrant } from '../../src/api/operation.ts'
import { tokenGrants } from '../../src/kernel/vocabulary.ts'
import type { Authenticated } from '../../src/nouns/tokens/tokens.ts'
import { type Asked, post, problemIn, withService } from '../support/service.ts'

const statements = suite('statements over the service')
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const append = '/v1/audit/append'
const event = { action_type: 'system', outcome: 'success' }
const override = { action_type: 'override', outcome: 'success', outcome_reason: 'court_order' }

/** A token whose text is its grant. */
async function authenticate(token: string): Promise<Authenticated | undefined> {
  const grants = new Set(tokenGrants.filter((grant) => grant === (token as TokenGrant)))
  return { actor: becca, grants, roles: new Set(['CLERK']), token_id: 'tok_1' }
}

const bearing = (token: string): Asked => ({ headers: { authorization: `Bearer ${token}` } })

statements('an override needs a token with the grant authority or operator', () =>
  withService(
    async ({ address }) => {
      const input = { events: [event, override] }
      problemIn(await post(address, append, { ...input, actor: becca }), 'FORBIDDEN')
      problemIn(await post(address, append, input, bearing('agent')), 'FORBIDDEN')
      for (const grant of ['authority', 'operator']) {
        is((await post(address, append, input, bearing(grant))).status, 200, grant)
      }
      is((await post(address, append, { events: [event] }, bearing('agent'))).status, 200)
    },
    { authenticate },
  ),
)

statements('a stated role is one of the token', () =>
  withService(
    async ({ address }) => {
      const stated = (role_id: string) => ({ events: [event, { ...event, role_id }] })
      problemIn(await post(address, append, stated('ATTORNEY_ADMIN'), bearing('agent')), 'FORBIDDEN')
      is((await post(address, append, stated('CLERK'), bearing('agent'))).status, 200)
    },
    { authenticate },
  ),
)

statements.run()
