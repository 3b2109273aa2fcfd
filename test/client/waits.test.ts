import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { LockstepError } from '../../src/errors.ts'
import { all, refused } from '../api/stage.ts'
import { until } from '../ledger/stage.ts'
import { type Stage, staged } from './go-between.ts'

const test = suite('calls of a client that wait, and streams')
const event = { action_type: 'system', outcome: 'success' } as const

const waitingFor = async ({ ledger }: Stage, count: number) =>
  until(`${count} callers wait`, async () => (await ledger.locks.status({ name: 'resource:a' })).waiting === count)

const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'none',
    ({ code }: LockstepError) => code,
  )

test(
  'an acquire that is aborted leaves the queue, and the next caller is served',
  staged(async (stage) => {
    const { client, seen } = stage
    const { lock_id } = await client.locks.acquire({ name: 'a', holder: 'first' })
    const stop = new AbortController()
    const wait = (holder: string, signal?: AbortSignal) =>
      client.locks.acquire({ name: 'a', holder, wait_s: 60 }, { signal })
    const aborted = codeOf(wait('second', stop.signal))
    await waitingFor(stage, 1)
    const third = wait('third')
    await waitingFor(stage, 2)
    const before = seen.length
    stop.abort()
    is(await aborted, 'ABORTED')
    await waitingFor(stage, 1)
    await client.locks.release({ lock_id })
    is((await third).holder, 'third')
    is(seen.length, before + 1, 'an aborted call is not repeated')
  }),
)

test(
  'one signal aborts any number of calls without a warning, and other calls go on',
  staged(async (stage) => {
    const { client } = stage
    const warnings: string[] = []
    const warned = ({ message }: Error) => warnings.push(message)
    process.on('warning', warned)
    await client.locks.acquire({ name: 'a', holder: 'first' })
    const stop = new AbortController()
    const calls = Array.from({ length: 40 }, (_, at) =>
      codeOf(client.locks.acquire({ name: 'a', holder: `h${at}`, wait_s: 60 }, { signal: stop.signal })),
    )
    const streams = Array.from({ length: 20 }, () => all(client.log.subscribe({}, { signal: stop.signal })))
    await waitingFor(stage, 40)
    stop.abort()
    equal(new Set(await Promise.all(calls)), new Set(['ABORTED']))
    equal(await Promise.all(streams), Array(20).fill([]))
    await waitingFor(stage, 0)
    await client.head.get()
    await new Promise(setImmediate)
    process.off('warning', warned)
    equal(warnings, [])
  }),
)

test(
  'a call that waits never delays a release, however many wait',
  staged(async (stage) => {
    const { client } = stage
    let { lock_id } = await client.locks.acquire({ name: 'a', holder: 'first' })
    const waiting = new Map(
      Array.from({ length: 100 }, (_, at) => {
        const call = client.locks.acquire({ name: 'a', holder: `h${at}`, wait_s: 60 })
        return [at, call.then((grant) => ({ at, grant }))]
      }),
    )
    while (waiting.size > 0) {
      await client.locks.release({ lock_id })
      const { at, grant } = await Promise.race(waiting.values())
      waiting.delete(at)
      lock_id = grant.lock_id
    }
  }),
)

test(
  'a stream begins at the call: what is called later comes later',
  staged(async ({ client }) => {
    const stop = new AbortController()
    for (let round = 0; round < 20; round += 1) {
      const coming = client.log.subscribe({}, { signal: stop.signal })[Symbol.asyncIterator]()
      const [{ seq } = { seq: -1 }] = (await client.audit.append({ events: [event] })).events
      is((await coming.next()).value?.seq, seq)
      await coming.return?.()
    }
  }),
)

test(
  'a stream that is cut off ends in an error, after the items that arrived',
  staged(async ({ client, decide }) => {
    await client.audit.append({ events: Array(10).fill(event) })
    const cuts: ((text: string) => string)[] = [
      (text) => text.slice(0, -1),
      (text) => text.slice(0, text.lastIndexOf('{"end"')),
      (text) => text.slice(0, text.indexOf('\n') + 20),
    ]
    for (const keeps of cuts) {
      decide(() => ({ keeps }))
      const items: unknown[] = []
      const read = async () => {
        for await (const item of client.log.read()) items.push(item)
      }
      const error = await refused(read(), 'LEDGER_UNAVAILABLE')
      is(error.details.outcome, 'unknown')
      ok(items.length >= 1)
    }
    decide(() => ({ status: 200, text: '{"seq":1}\n' }))
    await refused(all(client.log.read()), 'LEDGER_UNAVAILABLE')
    const problem = { code: 'LEDGER_CORRUPT', detail: 'made up', details: { seq: 7 } }
    decide(() => ({ status: 200, text: `{"seq":1}\n${JSON.stringify({ problem })}\n` }))
    equal((await refused(all(client.log.read()), 'LEDGER_CORRUPT')).details, { seq: 7 })
  }),
)

test(
  'a stream goes at the pace of its reader, and its lines arrive whole',
  staged(async ({ client, ledger }) => {
    const reason = '€'.repeat(200)
    const events = Array(500).fill({ ...event, outcome_reason: reason })
    for (let round = 0; round < 4; round += 1) await ledger.audit.append({ events })
    const seqs: number[] = []
    for await (const { data, seq } of client.log.read({ from: 1 })) {
      if (seqs.length % 500 === 0) await client.head.get()
      seqs.push(seq)
      ok(JSON.stringify(data).includes(reason))
    }
    equal(
      seqs,
      Array.from({ length: 2_000 }, (_, at) => at + 1),
    )
  }),
)

test(
  'a reader that stops early, or never reads, leaves no connection behind',
  staged(async ({ client, connections, ledger }) => {
    await ledger.audit.append({ events: Array(500).fill({ ...event, outcome_reason: 'x'.repeat(200) }) })
    for (let round = 0; round < 5; round += 1) {
      for await (const _ of client.log.read()) break
      client.log.subscribe()
    }
    await client.head.get()
    await client.close()
    await until('all connections are closed', async () => connections() === 0)
  }),
)

test(
  'end when the client closes; calls that do not wait are answered first',
  staged(async (stage) => {
    const { client, connections } = stage
    await client.locks.acquire({ name: 'a', holder: 'first' })
    const waiting = codeOf(client.locks.acquire({ name: 'a', holder: 'second', wait_s: 60 }))
    const following = all(client.log.subscribe())
    await waitingFor(stage, 1)
    const append = client.audit.append({ events: [event] })
    const closed = client.close()
    is(client.close(), closed)
    is(await waiting, 'LEDGER_CLOSED')
    is((await append).replayed, false)
    await following
    await closed
    await refused(client.head.get(), 'LEDGER_CLOSED')
    await refused(all(client.log.read()), 'LEDGER_CLOSED')
    await until('all connections are closed', async () => connections() === 0)
    await waitingFor(stage, 0)
  }),
)

test.run()
