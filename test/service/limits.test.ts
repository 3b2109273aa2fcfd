import { once } from 'node:events'
import { IncomingMessage, ServerResponse } from 'node:http'
import { connect, Socket } from 'node:net'
import { suite } from 'uvu'
import { equal, is, match, ok, throws } from 'uvu/assert'
import { paths } from '../../src/api/wire.ts'
import { LockstepError } from '../../src/errors.ts'
import { limits } from '../../src/kernel/limits.ts'
import { InProgress } from '../../src/service/in-progress.ts'
import { Rates } from '../../src/service/rates.ts'
import { ask, post, problemIn, until, withService } from '../support/service.ts'

const bounds = suite('limits of the service')

bounds('end a request whose headers do not come', async () => {
  await withService(async ({ address }) => {
    const socket = connect(address)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write('GET /livez HTTP/1.1\r\nHost:')
    await once(socket, 'close')
    match(text, /^HTTP\/1\.1 408 REQUEST_TIMEOUT\r\n/)
    match(text, /\r\nRetry-After: 1\r\n/)
    const problem = JSON.parse(text.slice(text.indexOf('\r\n\r\n')))
    equal([problem.code, problem.status, problem.retryable], ['REQUEST_TIMEOUT', 408, true])
    is(problem.details.outcome, 'not_applied')
    is((await ask(address, paths.live)).status, 200)
  })
})

bounds('refuse new requests on open connections while the service closes, and answer those in progress', async () => {
  await withService(async (service) => {
    const { address } = service
    const slow = connect(address)
    let text = ''
    slow.on('data', (chunk) => {
      text += chunk
    })
    const body = JSON.stringify({ holder: 'h', name: 'reports' })
    const head = `POST /v1/locks/acquire HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
    slow.write(head + body.slice(0, 5))
    const idle = connect(address)
    let refusal = ''
    idle.on('data', (chunk) => {
      refusal += chunk
    })
    await until('the request is in progress', async () => {
      return JSON.parse((await ask(address, paths.ready)).text).requests_in_flight === 2
    })
    const closed = service.close()
    idle.write('GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the other request is refused', () => refusal.includes('not_applied'))
    match(refusal, /^HTTP\/1\.1 503 [\s\S]*\r\nConnection: close\r\n/)
    slow.write(body.slice(5))
    await Promise.all([closed, once(slow, 'close')])
    match(text, /^HTTP\/1\.1 200 [\s\S]*\r\nConnection: close\r\n[\s\S]*"token":1/)
  })
})

bounds('count streams and calls that wait apart, and refuse too many of them', () => {
  let ended = 0
  const inProgress = new InProgress(() => {
    ended += 1
  })
  const begun = () => {
    const incoming = new IncomingMessage(new Socket())
    return inProgress.accept(incoming, new ServerResponse(incoming), { kind: 'socket', isOwnHost: () => true })
  }
  const streams = Array.from({ length: limits.streamsMax }, (_, at) => {
    const exchange = begun()
    inProgress.move(exchange, at % 2 === 0 ? 'lines' : 'events')
    return exchange
  })
  const next = begun()
  throws(
    () => inProgress.move(next, 'lines'),
    (error: unknown) => error instanceof LockstepError && error.details.outcome === 'not_applied',
  )
  inProgress.move(next, 'waiting')
  const half = limits.streamsMax / 2
  equal(inProgress.counts, { events: half, lines: half, requests: 0, waiting: 1 })
  for (const { outgoing } of [...streams, next]) outgoing.emit('close')
  equal(inProgress.counts, { events: 0, lines: 0, requests: 0, waiting: 0 })
  equal([inProgress.size, ended], [0, limits.streamsMax + 1])
})

bounds('remember a limited number of actors', () => {
  const rates = new Rates(1)
  for (let actor = 0; actor < limits.calledActorsMax + 10; actor += 1) rates.take(`actor-${actor}`)
  rates.take('actor-last')
  throws(
    () => {
      for (let calls = 0; calls < 10; calls += 1) rates.take('actor-last')
    },
    (error: unknown) => error instanceof LockstepError && error.code === 'RATE_LIMITED',
  )
})

bounds('of all bodies in memory do not count what was refused as too large', async () => {
  await withService(async ({ address }) => {
    const megabyte = Buffer.alloc(1024 * 1024, ' ')
    const chunk = Buffer.concat([Buffer.from(`${megabyte.length.toString(16)}\r\n`), megabyte, Buffer.from('\r\n')])
    const head =
      'POST /v1/locks/acquire HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
    const perConnection = 16
    for (let sent = 0; sent <= limits.bodyBytesInFlight; sent += perConnection * megabyte.length) {
      const socket = connect(address)
      let text = ''
      socket.on('error', () => {})
      socket.on('data', (read) => {
        text += read
      })
      socket.write(head)
      for (let count = 0; count < perConnection; count += 1) socket.write(chunk)
      socket.end('0\r\n\r\n')
      await once(socket, 'close')
      match(text, /^HTTP\/1\.1 413 /)
    }
    is((await post(address, '/v1/locks/acquire', { holder: 'h', name: 'reports' })).status, 200)
  })
})

bounds('of an input are those of the ledger', async () => {
  await withService(async ({ address }) => {
    // Each is as deep or as long as a body can be.
    const deep = `${'['.repeat(500_000)}${']'.repeat(500_000)}`
    const headers = { 'content-type': 'application/json' }
    for (const [path, member] of [
      ['/v1/audit/append', 'events'],
      ['/v1/runs/create', 'inputs'],
      ['/v1/turns/stage', 'triplets'],
    ]) {
      const body = `{"${member}":${deep}}`
      const answer = await ask(address, String(path), { body, headers })
      ok(answer.status >= 400 && answer.status < 500, `${path}: ${answer.text.slice(0, 500)}`)
      problemIn(answer)
    }
    problemIn(await post(address, '/v1/locks/acquire', { holder: 'h', name: 'x'.repeat(1_000_000) }), 'INVALID_INPUT')
  })
})

bounds.run()
