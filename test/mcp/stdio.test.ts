// limit: 240
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { connect } from '../../src/client.ts'
import { createLedger } from '../../src/nouns/create.ts'
import { servicesOf, withServiceProcess } from '../client/service-process.ts'
import { root as project } from '../runner.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { command, connectClient, withMcp } from '../support/mcp.ts'
import { asPlainError } from '../support/scene.ts'
import { until } from '../support/service.ts'

const test = suite('lockstep mcp')

test('writes nothing but the protocol to stdout, and ends with its client', async () => {
  await withMcp(async ({ dir, ledger }) => {
    const server = spawn(process.execPath, [command, 'mcp', '--dir', dir], { stdio: ['pipe', 'pipe', 'pipe'] })
    let errors = ''
    server.stderr.on('data', (text) => {
      errors += text
    })
    const lines: string[] = []
    createInterface(server.stdout).on('line', (line) => lines.push(line))
    const send = (message: object) => server.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
    const clientInfo = { name: 'raw', version: '1' }
    send({ id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo } })
    await until('it is initialized', () => lines.length === 1)
    send({ method: 'notifications/initialized' })
    server.stdin.write('this is no JSON\n')
    send({ id: 2, method: 'no/such/method' })
    send({ id: 3, method: 'tools/call', params: { name: 'lock_acquire', arguments: { names: [''] } } })
    send({
      id: 4,
      method: 'tools/call',
      params: { name: 'lock_acquire', arguments: { names: ['reports'], lease_s: 60 } },
    })
    await until('all calls are answered', () => lines.length >= 4)
    server.stdin.end()
    const [code] = await once(server, 'exit')
    is(code, 0, errors)
    const ids = lines.map((line) => JSON.parse(line) as { id: number; jsonrpc: string })
    equal(ids.map(({ id, jsonrpc }) => `${jsonrpc} ${id}`).sort(), ['2.0 1', '2.0 2', '2.0 3', '2.0 4'])
    // The harness lives, so its lock outlives the connection.
    equal((await ledger.locks.status({ name: 'reports' })).holder_alive, 'yes')
  })
})

test('acts as LOCKSTEP_ACTOR, or else as the session of its harness, or else as its process', async () => {
  await withMcp(async ({ ledger, placeOf }) => {
    const holderWith = async (env: Record<string, string>) => {
      const client = await connectClient('client 2 of 2025', placeOf('stdio', env))
      const { grants } = await client.done<{ grants: { lock_id: string }[] }>('lock_acquire', { names: ['reports'] })
      const { actor_id, holder, pids } = await ledger.locks.status({ name: 'reports' })
      equal(pids, [process.pid])
      is(actor_id, holder)
      await client.done('lock_release', { lock_ids: grants.map(({ lock_id }) => lock_id) })
      await client.close()
      return holder
    }
    is(await holderWith({}), `mcp:${process.pid}`)
    is(await holderWith({ CLAUDE_CODE_SESSION_ID: 'b1946ac9-2491' }), 'claude:b1946ac9-2491')
    is(await holderWith({ CLAUDE_CODE_SESSION_ID: 'no session\n' }), `mcp:${process.pid}`)
    is(await holderWith({ CLAUDE_CODE_SESSION_ID: 'b1946ac9', LOCKSTEP_ACTOR: 'agent:seven' }), 'seven')
  })
})

test('paths are relative to its folder, and what the session holds already is no contention with others', async () => {
  await withMcp(async ({ dir, ledger }) => {
    mkdirSync(join(dir, 'packages', 'web'), { recursive: true })
    const client = await connectClient('client 2 of 2026', {
      dir: join(dir, 'packages'),
      env: { LOCKSTEP_ACTOR: 'seven' },
    })
    const actor = { actor_id: 'seven', actor_type: 'agent' } as const
    const asked = { actor, holder: 'seven', paths: ['packages/web/a.ts'] }
    const others = await ledger.locks.acquire({ ...asked, reason: 'a fix' })
    const found = await client.done('lock_acquire', { paths: ['web/a.ts'] })
    equal(
      [found.outcome, (found.held as { untrusted: object }).untrusted],
      ['contended', { holder: 'seven', reason: 'a fix' }],
    )
    match(String(found.next), /^Do not change it/)
    await ledger.locks.release({ actor, lock_id: others.lock_id })
    await ledger.locks.acquire({ ...asked, pids: [process.pid] })
    const own = await client.done('lock_acquire', { paths: ['web/a.ts'], wait_s: 45 })
    match(String(own.next), /^This session holds it already/)
    const { grants } = await client.done<{ grants: { paths: string[] }[] }>('lock_acquire', {
      paths: ['web/new/', 'b.ts'],
    })
    equal(grants[0]?.paths, ['packages/b.ts', 'packages/web/new/'])
    await client.close()
  })
})

test(
  'two servers use one service, which they start, and which may be killed at any time',
  withServiceProcess(async ({ kill, root, start }) => {
    await start()
    const [one, two] = await Promise.all([
      connectClient('client 2 of 2026', { dir: root, env: { LOCKSTEP_ACTOR: 'one' } }),
      connectClient('sdk 1', { dir: root, env: { LOCKSTEP_ACTOR: 'two' } }),
    ])
    const { grants } = await one.done<{ grants: { lock_id: string }[] }>('lock_acquire', { names: ['reports'] })
    is((await two.done('lock_acquire', { names: ['reports'] })).outcome, 'contended')
    await kill('SIGKILL')
    is((await two.done('lock_acquire', { names: ['reports'] })).outcome, 'contended')
    const waited = two.done('lock_acquire', { names: ['reports'], wait_s: 45 })
    const client = await connect({ dir: root })
    const waiting = async () => (await client.locks.status({ name: 'reports' })).waiting
    await until('two waits', async () => (await waiting()) === 1)
    await client.close()
    for (const pid of servicesOf(root)) process.kill(pid, 'SIGKILL')
    await one.done('lock_release', { lock_ids: grants.map(({ lock_id }) => lock_id) })
    is((await waited).outcome, 'granted')
    await Promise.all([one.close(), two.close()])
  }),
)

test('leases are renewed while the harness lives, and no token of an operator is used for agents', async () => {
  await withMcp(async ({ dir, ledger, placeOf }) => {
    const client = await connectClient('client 2 of 2025', placeOf('stdio'))
    const asked = { paths: ['src/'], lease_s: 2 }
    const { grants } = await client.done<{ grants: { lock_id: string }[] }>('lock_acquire', asked)
    const renewals = async () => (await ledger.locks.status({ name: 'path:src/' })).renewals ?? 0
    await until('it was renewed twice', async () => (await renewals()) > 1)
    await client.done('lock_release', { lock_ids: grants.map(({ lock_id }) => lock_id) })
    await client.close()
    const refused = spawn(process.execPath, [command, 'mcp', '--operator', '--dir', dir], { stdio: 'ignore' })
    equal((await once(refused, 'exit'))[0], 2)
  })
})

test('the locks of a harness that is killed are had by others', async () => {
  await withMcp(async ({ dir, ledger }) => {
    const harness = spawn(process.execPath, ['--import', 'tsx', join(project, 'test/support/mcp-harness.ts'), dir], {
      cwd: project,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(createInterface(harness.stdout), 'line')
    is(line, 'granted')
    is((await ledger.locks.status({ name: 'reports' })).pids?.[0], harness.pid)
    const next = ledger.locks.acquire({ holder: 'next', name: 'reports', wait_s: 30 })
    await until('next waits', async () => (await ledger.locks.status({ name: 'reports' })).waiting === 1)
    harness.kill('SIGKILL')
    is((await next).holder, 'next')
  })
})

test('a folder may get its ledger while the server runs', async () => {
  const dir = temporaryRoot()
  const client = await connectClient('client 2 of 2025', { dir })
  try {
    is((await client.failed('lock_status')).code, 'NO_LEDGER')
    await createLedger({ dir, actor: testActor, policy: false })
    equal(await client.done('lock_status'), { locks: [], truncated: false })
    ok(!(await client.tools()).some(({ name }) => name === 'turn_apply'))
    is((await client.call('turn_apply', {}).catch(() => ({ isError: true }))).isError, true)
  } finally {
    await client.close()
    for (const pid of servicesOf(dir)) process.kill(pid, 'SIGTERM')
    await until('the service has ended', () => servicesOf(dir).length === 0)
  }
  await endsWithVerify(dir).catch(asPlainError)
})

test.run()
