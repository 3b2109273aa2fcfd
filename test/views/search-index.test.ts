import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { ListEvents } from '../../src/api/shapes/audit.ts'
import { renderedEvent } from '../../src/domain/rendered-event.ts'
import { LockstepError } from '../../src/errors.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { limits } from '../../src/kernel/limits.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import * as keys from '../../src/log/keyed/rows/keys.ts'
import { IndexComparison } from '../../src/verify/compare-index.ts'
import { SearchIndex } from '../../src/views/search-index.ts'
import { FaultyStore, withStage } from '../ledger/stage.ts'
import { keepBusy } from '../support/busy-ledger.ts'
import { entriesOf } from '../support/entries.ts'
import { withLedger } from '../support/ledger.ts'
import { logOf } from '../support/log-of.ts'
import { MemoryStore } from '../support/memory-store.ts'
import { randomBelow } from '../support/seed.ts'
import { withLimit } from './generated.ts'

const index = suite('the index')
const random = randomBelow('index')
const isOfIndex = (key: string) => key.startsWith('78')

/** The entries of a ledger in which much happened to runs. */
const history = await withStage(
  async (ledger) => {
    await keepBusy(ledger, random, 2_000)
    return entriesOf(ledger)
  },
  { policy: true },
)

/** A log of some of these entries, whose index is empty. */
const logOver = (entries: readonly Entry[]) => logOf(entries, { store: new MemoryStore() })

/** The stored rows of the index. */
const rowsIn = ({ pairs }: MemoryStore) =>
  Object.fromEntries([...pairs].filter(([key]) => isOfIndex(key)).map(([key, value]) => [key, hexOf(value)]))

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

index('is the same whatever the size of its steps', async () => {
  ok(history.length > 600, `${history.length} entries`)
  const { log, store } = await logOver(history)
  await new SearchIndex(log).reached(history.length)
  const whole = rowsIn(store)
  ok(Object.keys(whole).length > 200)
  for (let time = 0; time < 4; time += 1) {
    const { log: other, store: stepped } = await logOver(history)
    await withLimit(limits, 'indexWriteEntries', 1 + random(300), async () => {
      for (let size = 0; size < history.length; size += 1 + random(200)) await new SearchIndex(other).reached(size)
      await new SearchIndex(other).reached(history.length)
    })
    equal(rowsIn(stepped), whole)
  }
})

index('continues after a cut at any of its writes, and is always consistent', async () => {
  const { log, store } = await logOver(history)
  const start = store.copy()
  store.batches.length = 0
  await withLimit(limits, 'indexWriteEntries', 60, () => new SearchIndex(log).reached(history.length))
  const whole = rowsIn(store)
  const batches = [...store.batches]
  ok(batches.length > 5)
  for (let written = 0; written <= batches.length; written += 1) {
    const crashed = start.copy()
    for (const batch of batches.slice(0, written)) await crashed.write(batch)
    await compared(crashed)
    const opened = KeyedLog.open(crashed)
    const again = new SearchIndex(opened)
    is(await again.cursor(), Math.min(history.length, written * 60))
    await again.reached(history.length)
    equal(rowsIn(crashed), whole)
  }
})

/** As a verification does it. */
async function compared(store: MemoryStore): Promise<void> {
  const log = KeyedLog.open(store)
  const comparison = new IndexComparison(store, log.head())
  for await (const page of log.entries(0)) for (const entry of page) comparison.entry(entry)
  comparison.end({ index: Object.keys(rowsIn(store)).length })
}

async function checkOf(work: Promise<unknown>): Promise<unknown> {
  const error = await work.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (!(error instanceof LockstepError)) throw new Error(`nothing was found: ${error}`)
  return `${error.code} ${error.details.check}`
}

index('with a missing, different, damaged or surplus row is found by the comparison', async () => {
  const { log, store } = await logOver(history)
  await new SearchIndex(log).reached(history.length - 100)
  await compared(store)
  const stored = Object.keys(rowsIn(store))
  for (let time = 0; time < 40; time += 1) {
    const key = Buffer.from(stored[random(stored.length)] ?? '', 'hex')
    const [missing, damaged, more] = [store.copy(), store.copy(), store.copy()]
    missing.delete(key)
    is(await checkOf(compared(missing)), 'VERIFY_FAILED index')
    const bytes = Buffer.from(store.get(key) ?? '')
    const at = random(bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 + random(255))
    damaged.put(key, bytes)
    is(await checkOf(compared(damaged)), 'LEDGER_CORRUPT bytes')
    const tail = Buffer.concat([keys.tailOfIndexKey(key), Buffer.of(1)])
    await KeyedLog.open(more).index.write([{ view: 'index', key: tail, value: Buffer.alloc(0) }])
    is(await checkOf(compared(more)), 'VERIFY_FAILED index')
  }
})

index('answers every question as reading everything does', () =>
  withStage(
    async (ledger) => {
      await keepBusy(ledger, random, 500)
      await sameAnswers(ledger)
      await keepBusy(ledger, random, 100).catch(() => {})
      await sameAnswers(ledger)
    },
    { policy: true },
  ),
)

async function sameAnswers(ledger: LocalLedger): Promise<void> {
  const entries = await entriesOf(ledger)
  const pick = <T>(values: readonly T[]) => (random(2) === 0 ? undefined : values[random(values.length)])
  const timeOf = (entry: Entry | undefined) => entry?.time
  for (let time = 0; time < 60; time += 1) {
    const asked: ListEvents = {
      action_type: pick(['system', 'authz_decision', 'export']),
      actor_id: pick(['agent-1', 'agent-2', 'ana', 'nobody']),
      case_id: pick(['CASE-17', 'CASE-18', 'CASE-99']),
      outcome: pick(['success', 'failure', 'deny']),
      since: pick([timeOf(entries[random(entries.length)])]),
      type: pick(['run.created', 'run.refused', 'audit.recorded']),
      until: pick([timeOf(entries[random(entries.length)])]),
    }
    const wanted = entries.filter((entry) => isAsked(entry, asked)).map(({ seq }) => seq)
    const found: number[] = []
    const limit = 1 + random(60)
    for (let cursor = 0, complete = false; !complete; ) {
      const page = await ledger.audit.entries({ ...asked, cursor, limit })
      found.push(...page.events.map(({ seq }) => seq))
      ok(page.events.length <= limit && (page.complete || page.events.length === limit))
      cursor = page.next
      complete = page.complete
    }
    equal(found, wanted, JSON.stringify(asked))
    await sameRuns(ledger, entries, pick)
  }
}

function isAsked(entry: Entry, asked: ListEvents): boolean {
  const event = renderedEvent(entry)
  return (
    (asked.action_type ?? event.action_type) === event.action_type &&
    (asked.actor_id ?? entry.actor.actor_id) === entry.actor.actor_id &&
    (asked.case_id ?? entry.case_id) === entry.case_id &&
    (asked.outcome ?? event.outcome) === event.outcome &&
    (asked.type ?? entry.type) === entry.type &&
    (asked.since ?? '') <= entry.time &&
    entry.time < (asked.until ?? 'z')
  )
}

async function sameRuns(
  ledger: LocalLedger,
  entries: readonly Entry[],
  pick: <T>(values: readonly T[]) => T | undefined,
): Promise<void> {
  const asked: Parameters<LocalLedger['runs']['list']>[0] = {
    actor_id: pick(['agent-1', 'agent-2', 'nobody']),
    case_id: pick(['CASE-17', 'CASE-18']),
    lane_id: pick(['TOOL_INTERVIEW_CAPTURE', 'NO_LANE']),
    run_kind: pick(['orchestrator', 'agent', 'tool_gateway']),
    since: pick([entries[random(entries.length)]?.time]),
    status: pick(['created', 'running', 'completed', 'failed', 'denied', 'cancelled']),
    until: pick([entries[random(entries.length)]?.time]),
  }
  const createdIds = entries.flatMap(({ run_id = '', type }) => (type === 'run.created' ? [run_id] : []))
  const created = await Promise.all(createdIds.map((runId) => ledger.runs.get({ run_id: runId })))
  const wanted = created.filter(
    (run) =>
      (asked.actor_id ?? run.actor?.actor_id) === run.actor?.actor_id &&
      (asked.case_id ?? run.case_id) === run.case_id &&
      (asked.lane_id ?? run.actor?.lane_id) === run.actor?.lane_id &&
      (asked.run_kind ?? run.run_kind) === run.run_kind &&
      (asked.status ?? run.status) === run.status &&
      (asked.since ?? '') <= run.created_at_utc &&
      run.created_at_utc < (asked.until ?? 'z'),
  )
  const found: string[] = []
  const limit = 1 + random(30)
  for (let cursor: string | undefined | null; cursor !== null; ) {
    const page = await ledger.runs.list({ ...asked, limit, ...(cursor === undefined ? {} : { cursor }) })
    found.push(...page.runs.map(({ run_id }) => run_id))
    cursor = page.next
  }
  equal(
    found,
    wanted.map(({ run_id }) => run_id),
    JSON.stringify(asked),
  )
}

index('costs nothing until the first question; then it is written in batches without entries', async () => {
  const store = new FaultyStore()
  const kindsOf = () => store.batches.map(({ puts }) => [...new Set(puts.map(({ key }) => keys.kindOf(key)))].join())
  await withStage(
    async (ledger) => {
      await keepBusy(ledger, random, 40)
      ok(kindsOf().every((kinds) => !kinds.includes('index')))
      await ledger.runs.list()
      is(kindsOf().at(-1), 'index')
      is(kindsOf().filter((kinds) => kinds.includes('index')).length, 1)
      await ledger.runs.list({ status: 'running' })
      await ledger.runs.tree({ run_id: 'run_first' })
      is(kindsOf().filter((kinds) => kinds.includes('index')).length, 1, 'nothing was appended, nothing is written')
      await ledger.audit.list({ since: '2026-01-01T00:00:00Z' })
      await ledger.audit.list({ run_id: 'run_first' })
    },
    { policy: true, wrapStore: store.wrap },
  )
})

index('is brought up to date by a long-lived process while it is idle', () =>
  withLimit(limits, 'indexLagEntries', 20, () =>
    withLedger(
      async (ledger) => {
        await keepBusy(ledger, random, 60)
        const until = performance.now() + 20_000
        const cursorOf = async () => (await ledger.log.verify()).indexed
        while ((await cursorOf()) < 20 && performance.now() < until) await new Promise((go) => setTimeout(go, 50))
        ok((await cursorOf()) >= 20)
      },
      { policy: true },
    ),
  ),
)

index('gives no answer if it cannot be written, and the ledger must be reopened', async () => {
  const store = new FaultyStore()
  await withLedger(
    async (ledger) => {
      await ledger.runs.create({ run_id: 'run_first', run_kind: 'orchestrator' })
      store.failAfter(0, 'before')
      for (let time = 0; time < 2; time += 1) {
        const listed = await ledger.runs.list().then(() => 'listed', String)
        ok(listed.includes('injected by the test'), listed)
      }
      const appended = await ledger.locks
        .acquire({ name: 'a', holder: 'h' })
        .catch((error: LockstepError) => error.code)
      is(appended, 'LEDGER_UNAVAILABLE')
      is((await ledger.runs.get({ run_id: 'run_first' })).status, 'created')
    },
    { policy: true, wrapStore: store.wrap },
  )
})

index('that is damaged is LEDGER_CORRUPT for questions, and affects no other call', async () => {
  const store = new FaultyStore()
  await withStage(
    async (ledger) => {
      await ledger.runs.create({ run_id: 'run_first', run_kind: 'orchestrator' })
      await ledger.runs.list({ run_kind: 'orchestrator', status: 'created' })
      store.get = (key, stored) => {
        const value = stored.get(key)
        return value !== undefined && keys.kindOf(key) === 'index' ? Buffer.alloc(value.length) : value
      }
      const asked = () =>
        ledger.runs.list({ cursor: 'run_first' }).then(
          () => 'listed',
          ({ code }: LockstepError) => code,
        )
      is(await asked(), 'LEDGER_CORRUPT')
      is((await hold(ledger, { name: 'a', holder: 'h' })).replayed, false)
      is((await ledger.runs.get({ run_id: 'run_first' })).status, 'created')
      store.get = (key, stored) => stored.get(key)
      equal((await ledger.runs.list({ cursor: 'run_first' })).runs, [])
    },
    { policy: true, wrapStore: store.wrap },
  )
})

index('does not answer with the state that a run had when the question was asked', () =>
  withStage(
    async (ledger) => {
      await ledger.runs.create({ run_id: 'run_first', run_kind: 'orchestrator' })
      const listing = ledger.runs.list({ status: 'created' })
      await ledger.runs.start({ run_id: 'run_first' })
      for (const run of (await listing).runs) is(run.status, 'created')
      equal(
        (await ledger.runs.list({ status: 'running' })).runs.map(({ run_id }) => run_id),
        ['run_first'],
      )
    },
    { policy: true },
  ),
)

index.run()
