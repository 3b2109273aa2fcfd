import { trace as openTelemetry, type Span, type SpanContext } from '@opentelemetry/api'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { connect } from '../../src/client.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { ask, post, withService } from '../support/service.ts'

const traces = suite('the trace of a call')

const agent = { actor_id: 'agent-7', actor_type: 'agent' } as const
const held = (name: string, id: string) => ({ actor: agent, holder: 'h', lock_id: `lck_${id.repeat(16)}`, name })
const traceparentOf = (digit: string) => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`

async function entriesOf(ledger: LocalLedger): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const entry of ledger.log.read({})) entries.push(entry)
  return entries
}

const nameOf = ({ stream }: Entry) => stream.slice(stream.indexOf(':') + 1)

const tracesByName = async (ledger: LocalLedger) =>
  new Map((await entriesOf(ledger)).filter(({ type }) => type === 'lock.acquired').map((e) => [nameOf(e), e.trace]))

traces('is kept in the entries of the call, and the answer names it', async () => {
  await withService(async ({ address }, ledger) => {
    const headers = { traceparent: traceparentOf('a'), tracestate: 'vendor=1' }
    const answer = await post(address, '/v1/locks/acquire', held('a', 'a'), { headers })
    equal([answer.status, answer.headers.traceparent], [200, headers.traceparent])
    const refused = await post(address, '/v1/locks/acquire', held('a', 'b'), { headers })
    equal([refused.status, refused.headers.traceparent], [409, headers.traceparent])
    await post(address, '/v1/locks/acquire', held('b', 'c'))
    const known = await tracesByName(ledger)
    equal(known.get('a'), headers)
    is(known.get('b'), undefined)
  })
})

traces('is ignored if it is invalid', async () => {
  await withService(async ({ address }, ledger) => {
    for (const [n, traceparent] of [
      '00-0-0-0',
      traceparentOf('0'),
      `ff-${'a'.repeat(32)}`,
      '',
      'x'.repeat(9000),
    ].entries()) {
      const answer = await post(address, '/v1/locks/acquire', held(`n${n}`, String(n)), { headers: { traceparent } })
      equal([answer.status, answer.headers.traceparent], [200, undefined], traceparent.slice(0, 60))
    }
    for (const { trace } of await entriesOf(ledger)) is(trace, undefined)
  })
})

traces('of one line of a batch is not that of another', async () => {
  await withService(async ({ address }, ledger) => {
    const lines = ['a', 'b', 'c'].map((name) => ({ call: 'locks.acquire', input: held(name, name) }))
    const own = lines.map((line, n) =>
      n === 1 ? line : { ...line, trace: { traceparent: traceparentOf(String(n + 1)) } },
    )
    const body = own.map((line) => JSON.stringify(line)).join('\n')
    const headers = { 'content-type': 'application/x-ndjson', traceparent: traceparentOf('f') }
    is((await ask(address, '/v1/batch', { body, headers })).status, 200)
    const known = await tracesByName(ledger)
    equal(known.get('a'), { traceparent: traceparentOf('1') })
    equal(known.get('b'), { traceparent: traceparentOf('f') })
    equal(known.get('c'), { traceparent: traceparentOf('3') })
    const wrong = JSON.stringify({ ...lines[0], trace: { traceparent: 'none' } })
    const answer = await ask(address, '/v1/batch', { body: wrong, headers })
    is(JSON.parse(answer.text).problem.code, 'INVALID_INPUT')
  })
})

traces('of many calls at once over one client, and in this process, stay apart', async () => {
  await withService(async (_, ledger) => {
    const client = await connect({ dir: ledger.dir, actor: agent })
    try {
      const calls = Array.from({ length: 60 }, async (_none, n) => {
        const ledgerOf = n % 2 === 0 ? client : ledger
        const options = n % 3 === 0 ? {} : { trace: { traceparent: traceparentOf((1 + (n % 7)).toString(16)) } }
        const signal = n % 5 === 0 ? { signal: new AbortController().signal } : {}
        const { lock_id } = await ledgerOf.locks.acquire({ holder: 'h', name: `n${n}` }, { ...options, ...signal })
        await ledgerOf.locks.release({ lock_id: String(lock_id) })
      })
      await Promise.all(calls)
      await problemOf(client.locks.acquire({ holder: 'h', name: 'x' }, { trace: { traceparent: 'none' } }))
      await problemOf(ledger.locks.acquire({ holder: 'h', name: 'x' }, { trace: { traceparent: 'none' } }))
    } finally {
      await client.close()
    }
    for (const entry of await entriesOf(ledger)) {
      const { trace, type } = entry
      const n = Number(nameOf(entry).slice(1))
      if (type === 'lock.released') is(trace, undefined)
      if (type !== 'lock.acquired') continue
      equal(trace, n % 3 === 0 ? undefined : { traceparent: traceparentOf((1 + (n % 7)).toString(16)) }, `n${n}`)
    }
  })
})

traces('is a span of its own below the span of the caller, if the service records spans', async () => {
  const ended: unknown[] = []
  const recorded = (name: string, parent: SpanContext | undefined): Span => {
    const own = { spanId: 'b'.repeat(16), traceFlags: 1, traceId: parent?.traceId ?? 'c'.repeat(32) }
    const span = { name, of: parent?.spanId, attributes: {} as Record<string, unknown> }
    return {
      isRecording: () => true,
      spanContext: () => own,
      setAttribute: (key: string, value: unknown) => Object.assign(span.attributes, { [key]: value }),
      setStatus: () => ended.push('an error of the service'),
      end: () => ended.push(span),
    } as unknown as Span
  }
  const startSpan = (name: string, _options: unknown, context: Parameters<typeof openTelemetry.getSpanContext>[0]) =>
    recorded(name, openTelemetry.getSpanContext(context))
  openTelemetry.setGlobalTracerProvider({
    getTracer: () => ({ startActiveSpan: startSpan as never, startSpan }) as never,
  })
  try {
    await withService(async ({ address }, ledger) => {
      const headers = { traceparent: traceparentOf('a') }
      for (const id of ['a', 'b']) await post(address, '/v1/locks/acquire', held('a', id), { headers })
      await post(address, '/v1/locks/acquire', held('c', 'c'))
      const known = await tracesByName(ledger)
      equal(known.get('a'), { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` })
      equal(known.get('c'), { traceparent: `00-${'c'.repeat(32)}-${'b'.repeat(16)}-01` })
    })
  } finally {
    openTelemetry.disable()
  }
  const name = 'locks.acquire'
  equal(ended, [
    { attributes: {}, name, of: 'a'.repeat(16) },
    { attributes: { 'lockstep.code': 'LOCK_CONTENTION' }, name, of: 'a'.repeat(16) },
    { attributes: {}, name, of: undefined },
  ])
})

async function problemOf(asked: Promise<unknown>): Promise<void> {
  await asked.then(
    () => is('it was answered', 'it was refused'),
    (error) => is(error.code, 'INVALID_INPUT'),
  )
}

traces.run()
