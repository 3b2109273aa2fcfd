import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { refused } from '../api/stage.ts'
import { staged } from './go-between.ts'

const test = suite('the batches of a client')
const event = { action_type: 'system', outcome: 'success' } as const

test(
  'hold the calls of one turn in their order, and each call gets its own answer',
  staged(async ({ client, ledger, seen }) => {
    const from = (await ledger.head.get()).size
    const answers = await Promise.all(Array.from({ length: 100 }, () => client.audit.append({ events: [event] })))
    is(seen.length, 1)
    equal(
      answers.map(({ events }) => events[0]?.seq),
      Array.from({ length: 100 }, (_, at) => from + at),
    )
  }),
)

test(
  'are not disturbed by a call that is refused',
  staged(async ({ client, seen }) => {
    const calls = [
      client.locks.acquire({ name: 'a', holder: 'h' }),
      client.locks.acquire({ name: 'a', holder: 'other' }),
      client.locks.acquire({ name: ' ', holder: 'h' }),
      client.locks.status({ name: 'resource:never' }),
      client.locks.acquire({ name: 'b', holder: 'h' }),
    ]
    const ends = await Promise.allSettled(calls)
    equal(
      ends.map((end) => (end.status === 'fulfilled' ? 'answered' : end.reason.code)),
      ['answered', 'LOCK_CONTENTION', 'INVALID_INPUT', 'NOT_FOUND', 'answered'],
    )
    is(seen.length, 1)
  }),
)

test(
  'have at most 256 calls, and no more than two are on their way',
  staged(async ({ client, decide, seen }) => {
    let [underWay, most] = [0, 0]
    decide(async () => {
      underWay += 1
      most = Math.max(most, underWay)
      for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate)
      underWay -= 1
      return 'passes' as const
    })
    await Promise.all(Array.from({ length: 1_000 }, () => client.head.get()))
    is(most, 2)
    equal([Math.max(...seen.map(({ calls }) => calls.length)), seen.length], [256, 4])
  }),
)

test(
  'have at most 16 MiB, and a larger call is not sent',
  staged(async ({ client, decide, seen }) => {
    decide(({ calls }) => ({ status: 200, text: calls.map(() => '{"status":200,"answer":{}}\n').join('') }))
    const append = (bytes: number) => client.audit.append({ events: [{ ...event, outcome_reason: 'x'.repeat(bytes) }] })
    await Promise.all(Array.from({ length: 9 }, () => append(4 * 1024 * 1024)))
    equal(
      seen.map(({ calls }) => calls.length),
      [3, 3, 3],
    )
    const error = await refused(append(16 * 1024 * 1024), 'LIMIT_EXCEEDED')
    equal([error.details, seen.length], [{ outcome: 'not_applied' }, 3])
  }),
)

test(
  'are not for calls that wait, calls with a signal, and streams',
  staged(async ({ client, seen }) => {
    const { signal } = new AbortController()
    await client.locks.acquire({ name: 'a', holder: 'h', wait_s: 1 })
    await client.locks.acquire({ name: 'b', holder: 'h' }, { signal })
    await client.head.get({}, { signal })
    await client.log.verify()
    for await (const _ of client.log.read({ from: 1 })) break
    equal(
      seen.map(({ path }) => path),
      ['/v1/locks/acquire', '/v1/locks/acquire', '/v1/head/get', '/v1/log/verify', '/v1/log/read?from=1'],
    )
  }),
)

test(
  'give way to a call of its own where the answers of queries are too long together',
  staged(async ({ client, decide, seen }) => {
    const problem = { code: 'LIMIT_EXCEEDED', detail: 'too long', details: {} }
    decide(({ calls }) =>
      calls.length === 0 ? 'passes' : { status: 200, text: `${JSON.stringify({ status: 413, problem })}\n`.repeat(2) },
    )
    const [head, append] = await Promise.allSettled([client.head.get(), client.audit.append({ events: [event] })])
    equal([head.status, append.status], ['fulfilled', 'rejected'])
    equal(
      seen.map(({ path }) => path),
      ['/v1/batch', '/v1/head/get'],
    )
  }),
)

test(
  'cannot be made of what is no JSON',
  staged(async ({ client }) => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    for (const input of [circular, { limit: 1n }, null, 'text', []]) {
      await refused(client.audit.list(input as never), 'INVALID_INPUT')
    }
    const { signal } = new AbortController()
    await refused(client.locks.status({ name: 'resource:\ud800' }, { signal }), 'INVALID_INPUT')
    await refused(client.locks.status({ name: 'resource:\ud800' }), 'INVALID_INPUT')
  }),
)

test.run()
