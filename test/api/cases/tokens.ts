import { equal, is, match, ok } from 'uvu/assert'
import { becca, type Cases, newName, refused } from '../stage.ts'

const agent = { actor_id: 'agent-7', actor_type: 'agent' } as const
const asked = () => ({ actor: becca, grants: ['agent' as const], token_actor: agent })
const yearMillis = 365 * 24 * 60 * 60 * 1_000
const noToken = `tok_${'0'.repeat(24)}`

export const tokens: Cases<'tokens'> = {
  of: {
    create: {
      'answers with the secret, and with sorted grants and roles': async ({ api }) => {
        const roles = ['INTERVIEW_AGENT', 'INTAKE_AGENT', 'INTERVIEW_AGENT']
        const { secret, ...created } = await api.tokens.create({ ...asked(), grants: ['operator', 'agent'], roles })
        match(secret ?? '', /^lst_[A-Za-z0-9_-]{43}$/)
        equal(
          [created.actor, created.grants, created.roles],
          [agent, ['agent', 'operator'], [...roles].slice(0, 2).sort()],
        )
        equal([created.expires_at, created.replayed], [null, false])
        is((await api.log.entry({ seq: created.seq })).type, 'token.created')
      },
      'answers a repeated request without the secret': async ({ api }) => {
        const request = { ...asked(), idempotency_key: newName('key') }
        const { replayed: _, secret, ...first } = await api.tokens.create(request)
        ok(secret !== null)
        equal(await api.tokens.create(request), { ...first, replayed: true, secret: null })
        await refused(api.tokens.create({ ...request, grants: ['operator'] }), 'IDEMPOTENCY_MISMATCH')
      },
      'is for the release authority and operators alone': async ({ api }) => {
        await refused(api.tokens.create({ ...asked(), actor: agent }), 'TOKEN_DENIED')
      },
      'refuses a token that would have expired by the time of entries': async ({ apart }) => {
        await apart({}, async ({ api, clock }) => {
          clock.advance(100 * yearMillis)
          await api.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
          clock.advance(-100 * yearMillis)
          await refused(api.tokens.create({ ...asked(), expires_in_s: 60 }), 'CLOCK_AHEAD')
          is((await api.tokens.create(asked())).expires_at, null)
        })
      },
    },
    list: {
      'gives every token with its status, in pages': async ({ apart }) => {
        await apart({}, async ({ api, clock }) => {
          clock.advance(100 * yearMillis)
          const made = [
            await api.tokens.create(asked()),
            await api.tokens.create({ ...asked(), expires_in_s: 1 }),
            await api.tokens.create(asked()),
          ]
          await api.tokens.revoke({ actor: becca, token_id: made[2]?.token_id ?? '' })
          clock.advance(1_000)
          const statuses = ['valid', 'expired', 'revoked']
          const expected = made
            .map(({ replayed: _, secret: __, ...token }, index) => ({ ...token, status: statuses[index] }))
            .sort((one, other) => (one.token_id < other.token_id ? -1 : 1))
          const first = await api.tokens.list({ limit: 2 })
          const second = await api.tokens.list({ cursor: first.next ?? '', limit: 2 })
          is(second.next, null)
          const listed = [...first.tokens, ...second.tokens]
          equal(
            listed.map(({ revoked, ...token }) => token),
            expected,
          )
          equal(
            listed.map(({ revoked, status }) => (revoked !== null) === (status === 'revoked')),
            [true, true, true],
          )
        })
      },
    },
    revoke: {
      'ends a token, and answers a second revocation with the first': async ({ api }) => {
        const { token_id } = await api.tokens.create(asked())
        const request = { actor: becca, reason: 'leaked', token_id }
        await refused(api.tokens.revoke({ ...request, actor: agent }), 'TOKEN_DENIED')
        const { replayed, ...first } = await api.tokens.revoke(request)
        is(replayed, false)
        equal(await api.tokens.revoke(request), { ...first, replayed: true })
        await refused(api.tokens.revoke({ ...request, token_id: noToken }), 'NOT_FOUND')
      },
    },
  },
}
