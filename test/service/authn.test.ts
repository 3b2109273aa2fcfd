import { userInfo } from 'node:os'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { type Asked, post, posted, problemIn, withService } from '../support/service.ts'

const authn = suite('how the service knows a caller')

const listen = { host: '127.0.0.1', port: 0 }
const agent = { actor_id: 'agent-7', actor_type: 'agent' } as const
const byUser = `os:${userInfo().username}`
const acquire = '/v1/locks/acquire'
const bearing = (secret: string): Asked => ({ headers: { authorization: `Bearer ${secret}` } })
const held = (name: string, id: string) => ({ actor: agent, holder: 'h', lock_id: `lck_${id.repeat(16)}`, name })

async function lastOf(ledger: LocalLedger): Promise<Entry> {
  const entries: Entry[] = []
  for await (const entry of ledger.log.read({})) entries.push(entry)
  return entries.at(-1) as Entry
}

async function tokenOf(
  ledger: LocalLedger,
  token_actor: { actor_id: string; actor_type: 'agent' | 'human' } = agent,
): Promise<{ secret: string; token_id: string }> {
  const operator = { actor_id: 'BECCA', actor_type: 'human' } as const
  const roles = ['ATTORNEY_ADMIN']
  const create = { actor: operator, grants: ['agent' as const, 'authority' as const], roles, token_actor }
  const { secret, token_id } = await ledger.tokens.create(create)
  return { secret: secret ?? '', token_id }
}

authn('stands beside what the caller claims: the user on the socket, the token elsewhere', async () => {
  await withService(
    async ({ address, url = '' }, ledger) => {
      await posted(address, acquire, held('a', 'a'))
      equal((await lastOf(ledger)).actor, { ...agent, authn: byUser })
      const { secret, token_id } = await tokenOf(ledger)
      for (const [at, name] of [
        [url, 'b'],
        [address, 'c'],
      ] as const) {
        await posted(at, acquire, held(name, name), bearing(secret))
        equal((await lastOf(ledger)).actor, { ...agent, authn: `token:${token_id}` })
      }
    },
    { listen },
  )
})

authn('is that of the caller, if the call names no actor', async () => {
  await withService(async ({ address }, ledger) => {
    const { actor: _, ...unnamed } = held('a', 'a')
    await posted(address, acquire, unnamed)
    const { actor } = await lastOf(ledger)
    equal([actor.actor_id, actor.authn], [ledger.actor.actor_id, byUser])
  })
})

authn('cannot be set by the body of a request, also not as that of the actor of a run', async () => {
  await withService(
    async ({ address, url = '' }, ledger) => {
      const { secret } = await tokenOf(ledger)
      const { size } = await ledger.head.get()
      const forged = { ...agent, authn: 'token:tok_of_becca' }
      for (const [at, asked] of [
        [address, {}],
        [url, bearing(secret)],
      ] as const) {
        problemIn(await post(at, acquire, { ...held('a', 'a'), actor: forged }, asked), 'INVALID_INPUT')
        const run = { run_actor: forged, run_kind: 'orchestrator' }
        problemIn(await post(at, '/v1/runs/create', run, asked), 'INVALID_INPUT')
      }
      is((await ledger.head.get()).size, size)
    },
    { listen },
  )
})

authn('does not make a repeated request another request', async () => {
  await withService(
    async ({ address, url = '' }, ledger) => {
      const { secret } = await tokenOf(ledger)
      const append = { actor: agent, events: [{ action_type: 'system', outcome: 'success' }], idempotency_key: 'once' }
      const create = { actor: agent, idempotency_key: 'create', run_kind: 'orchestrator' }
      const first = await posted(address, '/v1/audit/append', append)
      const run = await posted(address, '/v1/runs/create', create)
      const grant = await posted(address, acquire, held('a', 'a'))
      const { size } = await ledger.head.get()
      const again = await posted(url, '/v1/audit/append', append, bearing(secret))
      equal(again, { ...first, replayed: true })
      equal(await posted(url, '/v1/runs/create', create, bearing(secret)), run)
      equal(await posted(url, acquire, held('a', 'a'), bearing(secret)), { ...grant, replayed: true })
      is((await ledger.head.get()).size, size)
    },
    { listen },
  )
})

authn('is on every entry of an export, which appends through other operations', async () => {
  await withService(async ({ address }, ledger) => {
    const human = { actor_id: 'ana', actor_type: 'human' } as const
    const { secret, token_id } = await tokenOf(ledger, human)
    const approval = { approval_type: 'attorney_admin', select: { run_id: 'run_none1' } }
    await posted(address, '/v1/exports/approve', approval, bearing(secret))
    const approver = { ...human, authn: `token:${token_id}`, role_id: 'ATTORNEY_ADMIN' }
    equal((await lastOf(ledger)).actor, approver)
  })
})

authn.run()
