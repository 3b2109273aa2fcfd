import { hash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { formsOf, grantsOf, objectGrants, type TokenGrant } from '../../src/api/operation.ts'
import { everyOperation, type Operation } from '../../src/api/operations.ts'
import { mediaTypes, objectPath, pathOf, paths } from '../../src/api/wire.ts'
import type { Authenticated } from '../../src/nouns/tokens/tokens.ts'
import { fileOf, run_id, target_name, three } from '../support/projects.ts'
import {
  type Answer,
  type Asked,
  ask,
  keepAlive,
  linesIn,
  post,
  posted,
  problemIn,
  withService,
} from '../support/service.ts'

const grants = suite('who may call the service')

const all: readonly TokenGrant[] = ['agent', 'authority', 'operator']
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const acquire = '/v1/locks/acquire'

/** A token whose text names its grants, as `agent+operator`. Any other text is a wrong, expired or revoked token. */
async function authenticate(token: string): Promise<Authenticated | undefined> {
  const words = token.split('+')
  const isKnown = words.every((word) => word === 'nothing' || all.includes(word as TokenGrant))
  const granted = new Set(words.filter((word): word is TokenGrant => all.includes(word as TokenGrant)))
  return isKnown
    ? { actor: becca, grants: granted, roles: new Set(['CLERK', 'COMPLIANCE']), token_id: 'tok_1' }
    : undefined
}

const bearing = (token: string): Asked => ({ headers: { authorization: `Bearer ${token}` } })
const listen = { host: '127.0.0.1', port: 0 }

/** Calls one form of an operation with an input that is not complete, so that an allowed call changes nothing. */
function call(at: string, { facts, noun, verb }: Operation, form: string, asked: Asked): Promise<Answer> {
  const member = form === '' ? 'no_such_member' : form
  if (facts.kind === 'command') return post(at, pathOf(noun, verb), { [member]: {} }, asked)
  return ask(at, `${pathOf(noun, verb)}?${member}=1&more=1`, asked)
}

const subsets = Array.from({ length: 2 ** all.length }, (_, bits) => all.filter((_, at) => bits & (1 << at)))

grants('are those of the table, for each form of each operation and each set of grants', async () => {
  await withService(
    async ({ address, url = '' }, ledger) => {
      const agent = keepAlive()
      const { size } = await ledger.head.get()
      for (const operation of everyOperation()) {
        for (const form of formsOf(operation.facts).keys()) {
          const needed = grantsOf(operation.facts, form)
          const what = `${operation.name} ${form}`
          for (const subset of subsets) {
            const token = subset.join('+') || 'nothing'
            const answer = await call(url, operation, form, { agent, ...bearing(token) })
            const isAllowed = subset.some((grant) => needed.includes(grant))
            const { code } = problemIn(answer)
            const isRefused = !['INVALID_INPUT', 'LOCK_PLACEMENT'].includes(code)
            equal([isRefused, code === 'FORBIDDEN'], [!isAllowed, !isAllowed], `${what} with ${token}: ${code}`)
          }
          for (const state of ['wrong', 'expired', 'revoked']) {
            problemIn(await call(url, operation, form, { agent, ...bearing(state) }), 'UNAUTHENTICATED')
            problemIn(await call(address, operation, form, bearing(state)), 'UNAUTHENTICATED')
          }
          problemIn(await call(url, operation, form, { agent }), 'UNAUTHENTICATED')
          const onSocket = await call(address, operation, form, {})
          is(problemIn(onSocket).code, needed.includes('agent') ? 'INVALID_INPUT' : 'FORBIDDEN', what)
        }
      }
      agent.destroy()
      is((await ledger.head.get()).size, size)
    },
    { authenticate, listen },
  )
})

grants('of objects are those of their table, for each set of grants', async () => {
  await withService(
    async ({ url = '' }) => {
      const body = 'x'
      const path = objectPath(hash('sha256', body, 'hex'))
      for (const subset of subsets) {
        const { headers } = bearing(subset.join('+') || 'nothing')
        const put = await ask(url, path, {
          method: 'PUT',
          body,
          headers: { ...headers, 'content-type': mediaTypes.lines },
        })
        const get = await ask(url, path, { headers: headers ?? {} })
        for (const [method, { status }] of Object.entries({ GET: get, PUT: put })) {
          const isAllowed = objectGrants[method as 'GET' | 'PUT'].some((grant) => subset.includes(grant))
          is(status === 403, !isAllowed, `${method} with ${subset.join('+')}: ${status}`)
        }
      }
      for (const state of ['wrong', 'expired', 'revoked'])
        problemIn(await ask(url, path, bearing(state)), 'UNAUTHENTICATED')
    },
    { authenticate, listen },
  )
})

grants('reach no operation that a batch hides', async () => {
  await withService(
    async ({ url = '' }) => {
      const calls = everyOperation().flatMap(({ facts, name }) =>
        [...formsOf(facts).keys()].map((form) => ({ call: name, input: { [form === '' ? 'more' : form]: 1 } })),
      )
      const body = calls.map((call) => `${JSON.stringify(call)}\n`).join('')
      const headers = { authorization: 'Bearer nothing', 'content-type': mediaTypes.lines }
      const { text } = await ask(url, paths.batch, { body, headers })
      const codes = linesIn(text).map(({ problem }) => (problem as { code: string }).code)
      equal(
        codes,
        calls.map(() => 'FORBIDDEN'),
      )
    },
    { authenticate, listen },
  )
})

grants('of a socket that demands tokens are those of the token', async () => {
  await withService(
    async ({ address }) => {
      problemIn(await ask(address, '/v1/head/get'), 'UNAUTHENTICATED')
      is((await ask(address, '/v1/head/get', bearing('agent'))).status, 200)
      is((await ask(address, paths.live)).status, 200)
    },
    { authenticate, socket_auth: 'token' },
  )
})

grants('go with the actor of the token: an input names no other, and no role that the token lacks', async () => {
  await withService(
    async ({ url = '' }, ledger) => {
      const asked = bearing('agent')
      const refused = async (actor: object) =>
        problemIn(await post(url, acquire, { holder: 'h', name: 'x', actor }, asked), 'FORBIDDEN')
      await refused({ actor_id: 'agent-1', actor_type: 'agent' })
      await refused({ actor_id: 'BECCA', actor_type: 'agent' })
      await refused({ ...becca, role_id: 'ADMIN' })
      problemIn(await post(url, acquire, { holder: 'h', name: 'x', actor: 'BECCA' }, asked), 'INVALID_INPUT')
      problemIn(await post(url, acquire, { holder: 'h', name: 'x', actor: { ...becca, x: 1 } }, asked), 'INVALID_INPUT')
      await posted(url, acquire, { holder: 'h', name: 'x' }, asked)
      await posted(
        url,
        acquire,
        { holder: 'h', name: 'y', actor: { ...becca, on_behalf_of: 'ACME', role_id: 'CLERK' } },
        asked,
      )
      const [x, y] = [await ledger.log.entry({ seq: 1 }), await ledger.log.entry({ seq: 2 })]
      is(x.actor.actor_id, 'BECCA')
      equal([y.actor.on_behalf_of, y.actor.role_id], ['ACME', 'CLERK'])
    },
    { authenticate, listen },
  )
})

grants('over TCP include no facts about the machine of the caller', async () => {
  await withService(
    async ({ address, url = '' }) => {
      const input = { holder: 'h', name: 'x', pids: [process.pid] }
      const problem = problemIn(await post(url, acquire, input, bearing('agent')), 'INVALID_INPUT')
      ok(problem.detail.includes('socket'), problem.detail)
      problemIn(await post(url, acquire, { ...input, pids: [] }, bearing('agent')), 'INVALID_INPUT')
      const folder = { folder: '/tmp', holder: 'h', pids: [process.pid] }
      problemIn(await post(url, acquire, folder, bearing('agent')), 'LOCK_PLACEMENT')
      const staged = { directory: '/tmp', run_id: 'run-1', turn_id: 'turn-1' }
      problemIn(await post(url, '/v1/staging/consume', staged, bearing('agent')), 'INVALID_INPUT')
      is((await posted(address, acquire, input)).current, true)
    },
    { authenticate, listen },
  )
})

grants('include no role that the token lacks for a run, and no other type of its actor', async () => {
  await withService(
    async ({ url = '' }, ledger) => {
      const create = '/v1/runs/create'
      const refused = async (more: object) => {
        const run = { run_kind: 'agent', ...more }
        problemIn(await post(url, create, run, bearing('agent')), 'FORBIDDEN')
        const headers = { ...bearing('agent').headers, 'content-type': mediaTypes.lines }
        const body = `${JSON.stringify({ call: 'runs.create', input: run })}\n`
        is(linesIn((await ask(url, paths.batch, { body, headers })).text)[0]?.status, 403)
      }
      await refused({ role_id: 'ADMIN' })
      await refused({ run_actor: { ...becca, role_id: 'ADMIN' } })
      await refused({ role_id: 'CLERK', run_actor: { actor_id: 'other', actor_type: 'agent', role_id: 'ADMIN' } })
      await refused({ run_actor: { actor_id: 'BECCA', actor_type: 'system' } })
      is((await ledger.head.get()).size, 1)
      await posted(url, create, { run_kind: 'agent', role_id: 'CLERK' }, bearing('agent'))
      const other = { actor_id: 'other', actor_type: 'agent' }
      await posted(url, create, { run_kind: 'agent', run_actor: other }, bearing('agent'))
    },
    { authenticate, listen },
  )
})

grants('include the approvals of exports whose role the token states', async () => {
  await withService(
    async ({ url = '' }, ledger) => {
      const approve = '/v1/exports/approve'
      const input = { approval_type: 'compliance', select: { run_id: 'run_top_1' } }
      const { seq } = (await posted(url, approve, input, bearing('operator'))) as { seq: number }
      const { actor } = await ledger.log.entry({ seq })
      equal([actor.actor_id, actor.role_id], ['BECCA', 'COMPLIANCE'])
      const other = { ...input, approval_type: 'attorney_admin' }
      problemIn(await post(url, approve, other, bearing('operator')), 'FORBIDDEN')
      problemIn(
        await post(url, approve, { ...input, actor: { ...becca, role_id: 'CLERK' } }, bearing('operator')),
        'APPROVAL_DENIED',
      )
      problemIn(await post(url, approve, input, bearing('agent')), 'FORBIDDEN')
    },
    { authenticate, listen },
  )
})

grants('of an agent release no project, whoever it names as the actor', async () => {
  await withService(
    async ({ address, url = '' }, ledger) => {
      await ledger.locks.acquire({ run_id, target_name })
      const file = join(ledger.dir, fileOf(run_id))
      writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...three, status: 'RELEASED' }))
      const imported = { actor: becca, file }
      problemIn(await post(address, '/v1/locks/import-file', imported), 'FORBIDDEN')
      problemIn(await post(url, '/v1/locks/import-file', { file }, bearing('agent+operator')), 'FORBIDDEN')
      const completed = { actor: becca, release_lock: true, run_id: 'run-1' }
      problemIn(await post(address, '/v1/runs/complete', completed), 'FORBIDDEN')
      problemIn(
        await post(address, '/v1/locks/import-file', { actor: { ...becca, actor_id: 'a' }, file }),
        'RELEASE_DENIED',
      )
      is((await ledger.locks.check({ run_id, target_name })).run_id, run_id)
      await posted(address, '/v1/locks/import-file', imported, bearing('authority'))
    },
    { authenticate, listen },
  )
})

grants('limit the calls of one actor, not those of others', async () => {
  await withService(
    async ({ address }) => {
      const agent = keepAlive()
      const actor = (actor_id: string) => ({ actor_id, actor_type: 'agent' })
      const input = (actor_id: string) => ({
        actor: actor(actor_id),
        events: [{ action_type: 'system', outcome: 'success' }],
      })
      const answers = await Promise.all(
        Array.from({ length: 60 }, () => post(address, '/v1/audit/append', input('busy'), { agent })),
      )
      const limited = answers.filter(({ status }) => status === 429)
      ok(limited.length >= 20, `${limited.length} were limited`)
      for (const answer of limited) problemIn(answer, 'RATE_LIMITED')
      is((await post(address, '/v1/audit/append', input('other'), { agent })).status, 200)
      agent.destroy()
    },
    { calls_per_second: 10 },
  )
})

grants.run()
