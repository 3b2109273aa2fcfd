import { userInfo } from 'node:os'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import { serveNode } from '../../src/service/serve.ts'
import { openShared } from '../../src/shared.ts'
import { testActor } from '../support/ledger.ts'
import { entriesLeft, type NodesLedger, newNodesLedger } from '../support/nodes.ts'
import { type PostgresServer, postgresMissing, startPostgres } from '../support/postgres.ts'
import { asPlainError } from '../support/scene.ts'
import { ask, linesIn, post, posted, problemIn, until } from '../support/service.ts'

const test = suite('nodes of one ledger')

let server: PostgresServer

test.before(async () => {
  server = await startPostgres()
})

test.after(() => server.close())

async function started({ dirs, token }: NodesLedger, at: number, mayForward = true) {
  const shared = await openShared({ actor: testActor, dir: dirs[at] ?? '' })
  if (shared === undefined) throw new Error('the ledger is in files')
  const listen = { host: '127.0.0.1', port: 0 }
  const forward = mayForward ? { token } : {}
  const service = await serveNode(shared, { forward, listen, log: false })
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= service.close().then(() => shared.close())
    return stopped
  }
  const { socket = '', url = '' } = service
  return { socket, stop, url }
}

type RunningNode = Awaited<ReturnType<typeof started>>

/** Two nodes, of which the first has the seat. Then the ledger is verified. */
async function two(
  work: (writer: RunningNode, other: RunningNode, ledger: NodesLedger) => Promise<void>,
  mayForward = true,
): Promise<Entry[]> {
  const ledger = await newNodesLedger(server, 2)
  const writer = await started(ledger, 0)
  const other = await started(ledger, 1, mayForward)
  try {
    await work(writer, other, ledger)
  } catch (error) {
    asPlainError(error)
  } finally {
    for (const node of [other, writer]) await node.stop().catch(asPlainError)
  }
  return entriesLeft(ledger).catch(asPlainError)
}

const acquire = '/v1/locks/acquire'
const request = (name: string, more: object = {}) => {
  return { actor: testActor, holder: 'h', lock_id: `lck_${name.repeat(16)}`, name: `resource:${name}`, ...more }
}

test('the one that comes first writes, and the other one reads what it wrote', async () => {
  await two(async (writer, other) => {
    const { token } = await posted(writer.socket, acquire, request('a'))
    const { headers, text } = await ask(other.socket, '/v1/locks/status?name=resource:a')
    equal([JSON.parse(text).state, JSON.parse(text).token], ['held', token])
    ok(Number(headers['lockstep-size']) > Number(token))
    const fresh = await ask(other.socket, '/v1/locks/status?name=resource:a&fresh=1')
    equal([fresh.status, JSON.parse(fresh.text).token], [200, token])
  })
})

test('forward a command with its caller and the evidence of its processes, and repeat its answer', async () => {
  const entries = await two(async (_, other) => {
    const first = await posted(other.socket, acquire, request('a', { pids: [process.pid] }))
    const again = await posted(other.socket, acquire, request('a', { pids: [process.pid] }))
    equal([again.token, first.replayed, again.replayed], [first.token, false, true])
    problemIn(await post(other.socket, acquire, request('b', { pids: [4_194_303] })), 'PID_NOT_FOUND')
    problemIn(
      await post(other.socket, acquire, { ...request('a'), lock_id: 'lck_another_lock_identity' }),
      'LOCK_CONTENTION',
    )
  })
  const [granted] = entries.filter(({ type }) => type === 'lock.acquired')
  equal(granted?.actor, { ...testActor, authn: `os:${userInfo().username}` })
  const { evidence } = granted?.data ?? {}
  equal(
    (evidence as { pid: number }[]).map(({ pid }) => pid),
    [process.pid],
  )
})

test('forward a batch, and a wait that ends when the lock is free', async () => {
  await two(async (writer, other) => {
    await posted(writer.socket, acquire, request('a'))
    const waiting = posted(other.socket, acquire, request('a', { lock_id: 'lck_the_next_one_in_line', wait_s: 60 }))
    await until('it waits', async () => {
      const { text } = await ask(writer.socket, '/v1/locks/status?name=resource:a')
      return JSON.parse(text).waiting === 1
    })
    const release = { call: 'locks.release', input: { actor: testActor, lock_id: `lck_${'a'.repeat(16)}` } }
    const lines = [release, { call: 'locks.acquire', input: request('b') }].map((line) => JSON.stringify(line))
    const headers = { 'content-type': 'application/x-ndjson' }
    const { text } = await ask(other.socket, '/v1/batch', { body: lines.join('\n'), headers })
    equal(
      linesIn(text).map(({ status }) => status),
      [200, 200],
      text,
    )
    ok(Number((await waiting).token) > 0)
  })
})

test('take the seat over when the writer leaves, and answer the same request with the same key again', async () => {
  await two(async (writer, other, ledger) => {
    const headers = { 'idempotency-key': 'a-request' }
    const events = { events: [{ action_type: 'system', outcome: 'success' }] }
    const first = await posted(other.socket, '/v1/audit/append', events, { headers })
    await writer.stop()
    const again = await posted(other.socket, '/v1/audit/append', events, { headers })
    equal(again.seqs, first.seqs)
    is(again.replayed, true)
    const back = await started(ledger, 0)
    await posted(back.socket, acquire, request('a'))
    await back.stop()
  })
})

test('without a token to forward with say where the writer is, and without a known writer too', async () => {
  await two(async (writer, other) => {
    const problem = await post(other.socket, acquire, request('a'))
    problemIn(problem, 'NOT_WRITER')
    is(problem.headers.location, `${writer.url}${acquire}`)
    is((await ask(other.socket, '/v1/locks/list')).status, 200)
    is((await ask(other.socket, '/v1/head/signed')).status, 200)
  }, false)
})

if (postgresMissing === undefined) test.run()
else {
  const without = suite('nodes, without a server')
  without('are not tested', () => console.log(postgresMissing))
  without.run()
}
