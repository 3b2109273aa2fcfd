import fc from 'fast-check'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { everyOperation } from '../../src/api/operations.ts'
import { mediaTypes, objectPath, pathOf, paths, wireLimits } from '../../src/api/wire.ts'
import { printedSeed } from '../support/seed.ts'
import {
  type Answer,
  type Asked,
  ask,
  keepAlive,
  post,
  posted,
  problemIn,
  raw,
  withService,
} from '../support/service.ts'

const requests = suite('requests of the service')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 400)
const json = { 'content-type': 'application/json' }
const acquire = '/v1/locks/acquire'

requests('are answered by the operation of their route', async () => {
  await withService(async ({ address }, ledger) => {
    const granted = await posted(address, acquire, { holder: 'h', name: 'reports' })
    is(granted.token, 1)
    const { text } = await ask(address, '/v1/locks/status?name=reports')
    is(JSON.parse(text).holder, 'h')
    const listed = await ask(address, '/v1/locks/list?orphans=false')
    equal(JSON.parse(listed.text), JSON.parse(JSON.stringify(await ledger.locks.list())))
    is((await ask(address, '/v1/head/get', { method: 'HEAD' })).text, '')
    const empty = await ask(address, '/v1/policy/reload', { method: 'POST' })
    problemIn(empty, 'FORBIDDEN')
  })
})

requests('carry security headers and a request id, and no header of CORS', async () => {
  await withService(async ({ address }) => {
    for (const path of ['/v1/head/get', '/nowhere', paths.live]) {
      const { headers } = await ask(address, path)
      is(headers['x-content-type-options'], 'nosniff')
      is(headers['cache-control'], 'no-store')
      match(String(headers['content-security-policy']), /default-src 'none'/)
      ok(headers['request-id'])
      equal(
        Object.keys(headers).filter((name) => name.startsWith('access-control')),
        [],
      )
    }
  })
})

const bad: [what: string, code: string, path: string, asked: Asked][] = [
  ['malformed JSON', 'INVALID_INPUT', acquire, { body: '{"name":', headers: json }],
  ['JSON that is no object', 'INVALID_INPUT', acquire, { body: '[]', headers: json }],
  ['null', 'INVALID_INPUT', acquire, { body: 'null', headers: json }],
  ['a byte order mark', 'INVALID_INPUT', acquire, { body: '\ufeff{}', headers: json }],
  ['bytes that are not UTF-8', 'INVALID_INPUT', acquire, { body: Buffer.from([0x7b, 0xff, 0x7d]), headers: json }],
  ['no form', 'INVALID_INPUT', acquire, { body: '{}', headers: json }],
  ['an unknown member', 'INVALID_INPUT', acquire, { body: '{"name":"x","holder":"h","x":1}', headers: json }],
  ['no content type', 'UNSUPPORTED_MEDIA_TYPE', acquire, { body: '{}' }],
  ['a form', 'UNSUPPORTED_MEDIA_TYPE', acquire, { body: 'name=x', headers: { 'content-type': 'text/plain' } }],
  [
    'another charset',
    'UNSUPPORTED_MEDIA_TYPE',
    acquire,
    { body: '{}', headers: { 'content-type': 'application/json; charset=utf-16' } },
  ],
  [
    'a content encoding',
    'UNSUPPORTED_MEDIA_TYPE',
    acquire,
    { body: '{}', headers: { ...json, 'content-encoding': 'gzip' } },
  ],
  ['a wrong method', 'METHOD_NOT_ALLOWED', acquire, { method: 'GET' }],
  ['a preflight', 'METHOD_NOT_ALLOWED', acquire, { method: 'OPTIONS' }],
  ['an unknown route', 'NOT_FOUND', '/v1/locks/acquire/', {}],
  ['an unknown version', 'NOT_FOUND', '/v2/locks/acquire', { body: '{}', headers: json }],
  ['a body with a query', 'INVALID_INPUT', '/v1/head/get', { method: 'GET', body: '{}', headers: json }],
  ['parameters with a command', 'INVALID_INPUT', `${acquire}?name=x`, { body: '{}', headers: json }],
  ['an unknown parameter', 'INVALID_INPUT', '/v1/locks/status?name=x&more=1', {}],
  ['an unknown parameter that is text', 'INVALID_INPUT', '/v1/locks/history?nam=x', {}],
  ['a repeated parameter', 'INVALID_INPUT', '/v1/locks/status?name=x&name=y', {}],
  ['a parameter that is not JSON', 'INVALID_INPUT', '/v1/log/entry?seq=one', {}],
  ['a parameter that is not UTF-8', 'INVALID_INPUT', '/v1/locks/status?name=%ff', {}],
  ['a parameter of the prototype', 'INVALID_INPUT', '/v1/locks/status?name=x&__proto__=1', {}],
  ['a long key', 'INVALID_INPUT', acquire, { body: '{}', headers: { ...json, 'idempotency-key': 'k'.repeat(201) } }],
  ['an object without its digest', 'NOT_FOUND', '/v1/objects', {}],
  ['an object whose digest is none', 'INVALID_INPUT', objectPath('x'), {}],
  ['an object that is not there', 'NOT_FOUND', objectPath('ab'.repeat(32)), {}],
  ['a body with an object', 'INVALID_INPUT', objectPath('ab'.repeat(32)), { method: 'GET', body: '{}', headers: json }],
  [
    'an object of another digest',
    'INVALID_INPUT',
    objectPath('ab'.repeat(32)),
    { method: 'PUT', body: '{}', headers: { 'content-type': mediaTypes.lines } },
  ],
  ['no from', 'INVALID_INPUT', paths.events, {}],
  ['a Last-Event-ID that is no seq', 'INVALID_INPUT', paths.events, { headers: { 'last-event-id': '-1' } }],
  ['a stream with bad input', 'INVALID_INPUT', '/v1/log/subscribe?from=-1', {}],
  ['a token where none is known', 'UNAUTHENTICATED', '/v1/head/get', { headers: { authorization: 'Bearer x' } }],
  ['another scheme', 'UNAUTHENTICATED', '/v1/head/get', { headers: { authorization: 'Basic eA==' } }],
  ['a name that was never locked', 'NOT_FOUND', '/v1/locks/status?name=x', {}],
]

requests('that are wrong get a problem document, and change nothing', async () => {
  await withService(async ({ address }, ledger) => {
    const { size } = await ledger.head.get()
    for (const [what, code, path, asked] of bad) {
      const answer = await ask(address, path, asked).catch((error) => {
        throw new Error(`${what}: ${error}`)
      })
      const problem = problemIn(answer, code)
      if (code === 'METHOD_NOT_ALLOWED') is(answer.headers.allow, 'POST', what)
      if (code === 'UNAUTHENTICATED') match(String(answer.headers['www-authenticate']), /^Bearer/)
      if (what.startsWith('an unknown parameter'))
        match(JSON.stringify(problem.errors), /has an unknown member: (more|nam)/)
      if (what === 'an unknown member') equal(problem.errors, [{ path: '', message: 'has an unknown member: x' }])
    }
    is((await ledger.head.get()).size, size)
  })
})

requests('name every method of every route', async () => {
  await withService(async ({ address }) => {
    const agent = keepAlive()
    for (const { facts, noun, verb } of everyOperation()) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
        const isRight = method === (facts.kind === 'command' ? 'POST' : 'GET')
        if (isRight) continue
        const answer = await ask(address, pathOf(noun, verb), { method, agent })
        problemIn(answer, 'METHOD_NOT_ALLOWED')
        is(answer.headers.allow, facts.kind === 'command' ? 'POST' : 'GET, HEAD')
      }
    }
    agent.destroy()
  })
})

requests('with a body that is too large get 413, whether it says its length or not', async () => {
  await withService(async ({ address }) => {
    const body = Buffer.alloc(wireLimits.bodyBytes + 1, 32)
    const tooLarge = async (headers: Record<string, string>, path = acquire, bytes = body) =>
      problemIn(
        await ask(address, path, { method: 'POST', body: bytes, headers: { ...json, ...headers } }),
        'LIMIT_EXCEEDED',
      )
    await tooLarge({ 'content-length': String(body.length) })
    await tooLarge({ 'transfer-encoding': 'chunked' })
    const batch = Buffer.alloc(wireLimits.batchBytes + 1, 32)
    await tooLarge({ 'content-type': mediaTypes.lines }, paths.batch, batch)
    // The largest body is read whole.
    const full = `{"name":"x","holder":"h"${' '.repeat(wireLimits.bodyBytes - 25)}}`
    is((await ask(address, acquire, { body: full, headers: json })).status, 200)
  })
})

requests('that are not HTTP get 400 with a problem, or a closed connection', async () => {
  await withService(async ({ address }) => {
    const texts = [
      'GET / HTTP/1.1\r\n\r\n',
      'nonsense\r\n\r\n',
      `GET /${'x'.repeat(40_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      'POST /v1/locks/acquire HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{',
      'POST /v1/locks/acquire HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}',
      'GET /v1/head/get HTTP/1.1\r\nHost: a b\r\n\r\n',
      'GET /v1/head/get HTTP/1.1\r\nHost: x\r\nExpect: a lot\r\n\r\n',
      'GET http:// HTTP/1.1\r\nHost: x\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    ]
    for (const text of texts) {
      const answer = await raw(address, Buffer.from(text, 'latin1'))
      ok(answer === '' || /^HTTP\/1\.1 4\d\d /.test(answer), `${JSON.stringify(text)}: ${answer}`)
      ok(!/text\/(?:plain|html)/i.test(answer), answer)
    }
    is((await ask(address, paths.live)).status, 200)
  })
})

const scalars = fc.oneof(
  fc.constant(undefined),
  fc.string(),
  fc.integer(),
  fc.constantFrom(null, true, -1, 1e300, '', 'x', '__proto__', '\ud800', [], {}, [[]]),
  fc.object({ maxDepth: 2 }),
)

requests('generated at random are refused with 4xx, or get their answer, and no other', async () => {
  const members = [
    'name',
    'holder',
    'actor',
    'run_id',
    'lock_id',
    'token',
    'pids',
    'wait',
    'limit',
    'from',
    'events',
    '__proto__',
  ]
  const words = everyOperation().map(({ noun, verb }) => pathOf(noun, verb))
  const object = objectPath('ab'.repeat(32))
  const path = fc.oneof(
    fc.constantFrom(...words, ...Object.values(paths), object, objectPath('x')),
    fc.webPath(),
    fc.string().map(encodeURI),
  )
  const input = fc.dictionary(fc.constantFrom(...members), scalars)
  const body = fc.oneof(
    fc.constant(undefined),
    input.map((value) => JSON.stringify(value)),
    fc.string(),
    fc.uint8Array(),
  )
  const type = fc.constantFrom(
    undefined,
    'application/json',
    'application/json;charset=utf-8',
    'application/x-ndjson',
    'text/plain',
    '',
  )
  const method = fc.constantFrom('GET', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'PATCH', 'QUERY')
  const extra = fc.dictionary(
    fc.constantFrom(
      'accept',
      'authorization',
      'idempotency-key',
      'last-event-id',
      'origin',

      'expect',
    ),
    fc.constantFrom('', 'x', 'chunked', '5', 'Bearer x', mediaTypes.events, '100-continue'),
  )
  await withService(async ({ address }, ledger) => {
    const agent = keepAlive()
    const { size } = await ledger.head.get()
    const asked = fc.record({ body, extra, isChunked: fc.boolean(), method, parameters: input, path, type })
    const property = fc.asyncProperty(asked, async ({ body, extra, isChunked, method, parameters, path, type }) => {
      const query = new URLSearchParams(
        Object.entries(parameters).map(([name, value]): [string, string] => [name, String(JSON.stringify(value))]),
      )
      const url = `${path.startsWith('/') ? path : `/${path}`}${query.size > 0 && !path.includes('?') ? `?${query}` : ''}`
      if (/\/(?:events|subscribe)/.test(url) && method === 'GET') return
      const headers = {
        ...extra,
        ...(type === undefined ? {} : { 'content-type': type }),
        ...(isChunked && body !== undefined ? { 'transfer-encoding': 'chunked' } : {}),
      }
      const answer = await ask(address, url, { agent, body, headers, method, signal: AbortSignal.timeout(10_000) })
      if (answer.status !== 200) {
        ok(answer.status >= 400 && answer.status < 500, `${method} ${url}: ${answer.status} ${answer.text}`)
        if (method !== 'HEAD') problemIn(answer)
      }
    })
    await fc.assert(property, { includeErrorInReport: true, numRuns: rounds, seed: printedSeed('generated requests') })
    agent.destroy()
    // None of these inputs is complete, so no command succeeded.
    const entries = []
    for await (const entry of ledger.log.read({ from: size })) entries.push(entry.type)
    equal(entries, [])
  })
})

requests('say who caused a problem of the web', async () => {
  const listen = { host: '127.0.0.1', port: 0 }
  await withService(
    async ({ address, url = '' }) => {
      const at = (headers: Record<string, string>): Promise<Answer> => ask(url, '/livez', { headers })
      is((await at({})).status, 200)
      is((await at({ host: 'localhost:1' })).status, 200)
      is((await at({ host: '[::1]:1' })).status, 200)
      problemIn(await at({ host: 'evil.example' }), 'FORBIDDEN')
      problemIn(await at({ host: '127.0.0.1.evil.example' }), 'FORBIDDEN')
      problemIn(await at({ origin: 'http://localhost' }), 'FORBIDDEN')
      problemIn(await post(url, acquire, { name: 'x', holder: 'h' }), 'UNAUTHENTICATED')
      for (const path of [paths.metrics, paths.openApi, paths.batch, paths.events, objectPath('ab'.repeat(32))]) {
        const method = path === paths.batch ? 'POST' : 'GET'
        problemIn(await ask(url, path, { method }), 'UNAUTHENTICATED')
      }
      is((await ask(address, paths.live, { headers: { host: 'evil.example' } })).status, 200)
    },
    { listen },
  )
})

requests.run()
