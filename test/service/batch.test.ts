import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { TokenGrant } from '../../src/api/operation.ts'
import { mediaTypes, paths, wireLimits } from '../../src/api/wire.ts'
import { answerBatch, batchOf } from '../../src/service/batch.ts'
import type { Calls } from '../../src/service/calls.ts'
import { Exchange } from '../../src/service/exchange.ts'
import { ask, linesIn, posted, problemIn, withService } from '../support/service.ts'

const batches = suite('batches')

const event = (notes: string) => ({
  call: 'audit.append',
  input: { events: [{ action_type: 'system', notes, outcome: 'success' }] },
})
const acquire = (name: string) => ({ call: 'locks.acquire', input: { holder: 'h', name } })

async function sent(at: string, calls: readonly unknown[], headers: Record<string, string> = {}) {
  const body = calls.map((call) => (typeof call === 'string' ? call : JSON.stringify(call))).join('\n')
  return ask(at, paths.batch, { body, headers: { 'content-type': mediaTypes.lines, ...headers } })
}

async function answers(at: string, calls: readonly unknown[], headers: Record<string, string> = {}) {
  const { headers: got, status, text } = await sent(at, calls, headers)
  is(status, 200, text)
  is(got['content-type'], mediaTypes.lines)
  const lines = linesIn(text) as { status: number; answer?: Record<string, unknown>; problem?: { code: string } }[]
  is(lines.length, calls.length)
  return lines
}

batches('are decided in the order of their lines', async () => {
  await withService(async ({ address }, ledger) => {
    const names = Array.from({ length: wireLimits.batchLinesMax }, (_, at) => `event ${at}`)
    const lines = await answers(address, names.map(event))
    ok(lines.every(({ status }) => status === 200))
    const notes: unknown[] = []
    for await (const { data } of ledger.log.read({ from: 1 })) notes.push(data.notes)
    equal(notes, names)
    const [first, second] = await answers(address, [acquire('x'), acquire('x')])
    equal([first?.status, second?.status, second?.problem?.code], [200, 409, 'LOCK_CONTENTION'])
  })
})

batches('are not atomic: each line fails alone', async () => {
  await withService(async ({ address }) => {
    const calls = [
      'not JSON',
      '[]',
      '{"call":"locks.acquire","input":{},"more":1}',
      { call: 'locks.nothing' },
      { call: 'constructor.prototype' },
      { call: 'log.read' },
      { call: 'log.verify' },
      { call: 'locks.acquire', input: { holder: 'h', name: 'x', wait_s: 1 } },
      { call: 'locks.break', input: { name: 'x', reason: 'r' } },
      { call: 'locks.acquire', input: null },
      { call: 'locks.acquire', input: [] },
      { call: 'head.get' },
      acquire('x'),
    ]
    const lines = await answers(address, calls)
    const codes = lines.map(({ problem, status }) => problem?.code ?? status)
    const invalid = 'INVALID_INPUT'
    equal(codes, [
      invalid,
      invalid,
      invalid,
      'NOT_FOUND',
      'NOT_FOUND',
      invalid,
      invalid,
      invalid,
      'FORBIDDEN',
      invalid,
      invalid,
      200,
      200,
    ])
  })
})

batches('with a key give the first answers again, also after a part of them', async () => {
  await withService(async ({ address }, ledger) => {
    const headers = { 'idempotency-key': 'k' }
    const calls = [event('a'), acquire('x'), event('b'), acquire('y')]
    await answers(address, calls.slice(0, 2), headers)
    const { size } = await ledger.head.get()
    is(size, 3)
    const lines = await answers(address, calls, headers)
    equal(
      lines.map(({ answer }) => answer?.replayed),
      [true, true, false, false],
    )
    is((await ledger.head.get()).size, 5)
    const again = await answers(address, calls, headers)
    equal(
      again.map(({ answer }) => answer?.lock_id),
      lines.map(({ answer }) => answer?.lock_id),
    )
    is((await ledger.head.get()).size, 5)
    // A line's own key is its key.
    const own = { ...acquire('z'), input: { ...acquire('z').input, lock_id: 'lck_0123456789abcdef' } }
    is((await answers(address, [own], headers))[0]?.answer?.lock_id, 'lck_0123456789abcdef')
  })
})

batches('have 1 to 256 lines, of the right type', async () => {
  await withService(async ({ address }) => {
    problemIn(await sent(address, []), 'INVALID_INPUT')
    problemIn(await sent(address, Array(257).fill({ call: 'head.get' })), 'LIMIT_EXCEEDED')
    problemIn(
      await sent(address, [{ call: 'head.get' }], { 'content-type': 'application/json' }),
      'UNSUPPORTED_MEDIA_TYPE',
    )
    is((await posted(address, '/v1/locks/acquire', { holder: 'h', name: 'x' })).token, 1)
  })
})

batches('keep a defect of one line for the log', async () => {
  const incoming = new IncomingMessage(new Socket())
  incoming.headers = { 'content-type': mediaTypes.lines, 'transfer-encoding': 'chunked' }
  const place = { kind: 'socket', isOwnHost: () => true } as const
  const exchange = new Exchange(incoming, new ServerResponse(incoming), { id: 'request', place })
  const defect = new Error('a defect')
  const calls = {
    prepared() {
      throw defect
    },
  } as unknown as Calls
  const grants = new Set<TokenGrant>()
  const caller = { actor: undefined, authn: 'os:tester', grants, place, roles: new Set<string>() }
  const statuses: number[] = []
  const read = batchOf(exchange, false)
  incoming.push(`${JSON.stringify({ call: 'head.get' })}\n`)
  incoming.push(null)
  const counted = (_: string, status: number) => statuses.push(status)
  await answerBatch(exchange, { batch: await read, calls, caller, counted })
  equal([statuses, exchange.defect], [[500], defect])
})

batches.run()
