import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { paths } from '../../src/api/wire.ts'
import { token, withMcp } from '../support/mcp.ts'
import { type Asked, ask, post, problemIn, until } from '../support/service.ts'

const test = suite('MCP over HTTP')
const accept = 'application/json, text/event-stream'
const bearing = { accept, authorization: `Bearer ${token}` }
const list = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }
const send = (url = '', body: unknown = list, headers: Asked['headers'] = bearing) =>
  post(url, paths.mcp, body, { headers: headers ?? {} })

test('refuses a wrong host, every origin and a wrong token, before it looks at the request', async () => {
  await withMcp(async ({ service: { url = '' } }) => {
    const { port } = new URL(url)
    is((await send(url)).status, 200)
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, 'LOCALHOST']) {
      is((await send(url, list, { ...bearing, host })).status, 200, host)
    }
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      `127.0.0.1.evil.example:${port}`,
      `localhost.evil.example:${port}`,
      '7f000001.rbndr.us',
      'localhost.',
    ]) {
      problemIn(await send(url, { not: 'read' }, { ...bearing, host }), 'FORBIDDEN')
    }
    for (const host of ['127.0.0.1@evil.example', 'evil.example#127.0.0.1', 'localhost:80:80', '127.0.0.1 evil']) {
      const { status, text } = await send(url, list, { ...bearing, host })
      ok(status === 400 || status === 403, `${host}: ${text}`)
    }
    for (const origin of [
      'http://evil.example',
      `http://127.0.0.1:${port}`,
      'http://localhost',
      'null',
      'file://',
      '',
    ]) {
      problemIn(await send(url, { not: 'read' }, { ...bearing, origin }), 'FORBIDDEN')
    }
    for (const authorization of ['Bearer wrong', 'Bearer', `Basic ${token}`, `Bearer ${token} x`, '']) {
      problemIn(await send(url, { not: 'read' }, { accept, authorization }), 'UNAUTHENTICATED')
    }
    problemIn(await send(url, { not: 'read' }, { accept }), 'UNAUTHENTICATED')
  })
})

test('on the socket of the service no token is needed, unless the configuration demands one', async () => {
  await withMcp(async ({ service: { socket } }) => is((await send(socket, list, { accept })).status, 200))
  await withMcp(
    async ({ service: { socket } }) => {
      problemIn(await send(socket, list, { accept }), 'UNAUTHENTICATED')
    },
    {
      socket_auth: 'token',
    },
  )
})

test('takes JSON of a limited size by POST alone', async () => {
  await withMcp(async ({ service: { url = '' } }) => {
    for (const method of ['GET', 'DELETE', 'PUT', 'OPTIONS']) {
      const { headers, status } = await ask(url, paths.mcp, { method, headers: bearing })
      equal([status, headers.allow], [405, 'POST'], method)
    }
    problemIn(
      await ask(url, paths.mcp, { body: '{', headers: { ...bearing, 'content-type': 'application/json' } }),
      'INVALID_INPUT',
    )
    problemIn(
      await ask(url, paths.mcp, { body: '{}', headers: { ...bearing, 'content-type': 'text/plain' } }),
      'UNSUPPORTED_MEDIA_TYPE',
    )
    problemIn(await send(url, { ...list, params: { x: 'x'.repeat(2 ** 21) } }), 'LIMIT_EXCEEDED')
    for (const body of [null, [], 7, 'x', {}, [[]], { jsonrpc: '2.0', id: {}, method: 7 }]) {
      const { status, text } = await send(url, body)
      ok(status >= 400 && status < 500, `${JSON.stringify(body)}: ${status} ${text}`)
    }
  })
})

test('a client that is gone leaves the line', async () => {
  await withMcp(async ({ ledger, service: { url } }) => {
    await ledger.locks.acquire({ holder: 'h', name: 'reports' })
    const params = { name: 'lock_acquire', arguments: { names: ['reports'], wait_s: 45 } }
    const ending = new AbortController()
    const asked = post(
      url ?? '',
      paths.mcp,
      { ...list, method: 'tools/call', params },
      { headers: bearing, signal: ending.signal },
    )
    const ended = asked.catch(() => 'gone')
    const waiting = async () => (await ledger.locks.status({ name: 'reports' })).waiting
    await until('the call waits', async () => (await waiting()) === 1)
    ending.abort()
    is(await ended, 'gone')
    await until('the line is empty', async () => (await waiting()) === 0)
  })
})

test('a cancellation of another client does not reach a call', async () => {
  await withMcp(async ({ ledger, service: { url } }) => {
    const params = { name: 'lock_acquire', arguments: { names: ['reports'], wait_s: 45 } }
    const cancelled = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 7 } }
    const sessions = [bearing, { ...bearing, 'mcp-session-id': 'one' }, { ...bearing, 'mcp-session-id': 'two' }]
    for (const [at, own] of sessions.slice(0, 2).entries()) {
      const { lock_id } = await ledger.locks.acquire({ holder: 'h', name: 'reports' })
      const asked = send(url, { ...list, id: 7, method: 'tools/call', params }, own)
      await until('it waits', async () => (await ledger.locks.status({ name: 'reports' })).waiting === 1)
      // Without a session, the ids of different clients are alike.
      for (const other of sessions.filter((_, index) => index !== at || at === 0)) {
        is((await send(url, cancelled, other)).status, 202)
      }
      await ledger.locks.release({ lock_id })
      const { text } = await asked
      const [, granted = ''] = /"lock_id\\*":\\*"(lck_[\w-]+)/.exec(text) ?? []
      await ledger.locks.release({ actor: { actor_id: 'agent-7', actor_type: 'agent' }, lock_id: granted })
    }
  })
})

test.run()
