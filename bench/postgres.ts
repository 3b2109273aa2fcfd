import { strictEqual } from 'node:assert/strict'
import { join } from 'node:path'
import pg from 'pg'
import { postgresMissing, startPostgres } from '../test/support/postgres.ts'
import { built, openLedger } from './built.ts'
import { type Etcd, etcdMissing, startEtcd } from './etcd.ts'
import { type Figure, latencies, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const actor = { actor_id: 'bench', actor_type: 'system' } as const
const { Database } = (await import(
  new URL('log/postgres/database.js', built).href
)) as typeof import('../src/log/postgres/database.ts')
const { setUpSchema } = (await import(
  new URL('log/postgres/setup.js', built).href
)) as typeof import('../src/log/postgres/setup.ts')

type Ledger = Awaited<ReturnType<typeof openLedger>>

/** One way to write. It makes `calls` calls of each caller, and returns how many steps it made. */
type Way = (callers: number, calls: number, millis: number[]) => Promise<number>

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const missing = [postgresMissing, etcdMissing].filter((reason) => reason !== undefined)
  for (const reason of missing) console.log(reason)
  if (postgresMissing !== undefined)
    return [{ what: 'reasons not to measure', value: 1, unit: 'reasons', note: postgresMissing }]
  const server = await startPostgres({ shared_buffers: '128MB' })
  const etcd = etcdMissing === undefined ? await startEtcd(join(folder, 'etcd')) : undefined
  const url = await server.database()
  const database = await Database.of({ connectionString: url })
  await setUpSchema(database, 'bench_writer').finally(() => database.close())
  const engine = url as `postgres://${string}`
  const ledger = await openLedger({ actor, create: true, dir: join(folder, 'ledger'), engine, policy: false })
  const bare = new pg.Client({ connectionString: url })
  await bare.connect()
  await bare.query('CREATE TABLE bare (seq bigserial PRIMARY KEY, line text NOT NULL)')
  try {
    const size = smoke ? { calls: 2, runs: 1 } : { calls: 40, runs: 5 }
    const inserts = insertsOf(bare, await lineOf(ledger))
    const figures: Figure[] = []
    for (const callers of [64, 512]) {
      const ways = { append: appendsTo(ledger), insert: inserts }
      const name = `${callers} in flight`
      figures.push(...(await interleaved(name, ways, { callers, ...size }, { of: ['append', 'insert'], atLeast: 0.8 })))
    }
    for (const callers of [64, 192]) {
      const ways = { lockstep: locksOf(ledger), ...(etcd === undefined ? {} : { etcd: locksIn(etcd) }) }
      const name = `acquire and release, ${callers} callers`
      figures.push(...(await interleaved(name, ways, { callers, ...size }, { of: ['lockstep', 'etcd'], atLeast: 3 })))
    }
    await ledger.log.verify()
    return figures
  } finally {
    await ledger.close()
    await bare.end()
    await etcd?.close()
    await server.close()
  }
}

/** Runs the ways in turn. The first run is the warm-up. The ratio is the median of the runs' own ratios. */
async function interleaved(
  name: string,
  ways: Record<string, Way>,
  { callers, calls, runs }: { callers: number; calls: number; runs: number },
  { atLeast, of: [what, by] }: { atLeast: number; of: readonly [string, string] },
): Promise<Figure[]> {
  const rates: Record<string, number[]> = {}
  const millis: Record<string, number[]> = {}
  for (let run = 0; run <= runs; run += 1) {
    for (const [way, work] of Object.entries(ways)) {
      const times: number[] = []
      const started = performance.now()
      const steps = await work(callers, calls, times)
      const rate = (steps * 1_000) / (performance.now() - started)
      if (run === 0) continue
      rates[way] = [...(rates[way] ?? []), rate]
      millis[way] = (millis[way] ?? []).concat(times)
    }
  }
  const each = Object.keys(ways).map((way) => ({
    what: `${name}: ${way}`,
    value: median(rates[way] ?? []),
    unit: 'entries/s',
    ...latencies(millis[way] ?? []),
  }))
  if (rates[by] === undefined) return each
  const all = (rates[what] ?? []).map((rate, run) => rate / (rates[by]?.[run] ?? Number.NaN))
  const note = `runs ${all.map((ratio) => ratio.toFixed(2)).join(' ')}`
  return [
    ...each,
    {
      what: `${name}: ${what} ÷ ${by}`,
      value: median(all),
      unit: 'ratio',
      note,
      bar: { kind: 'ratio', at_least: atLeast },
    },
  ]
}

async function timed<T>(millis: number[], work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  const done = await work()
  millis.push(performance.now() - started)
  return done
}

/** Every caller waits for each of its entries. */
const event = { action_type: 'system', notes: 'x'.repeat(200), outcome: 'success' } as const
function appendsTo(ledger: Ledger): Way {
  return async (callers, calls, millis) => {
    const caller = async () => {
      for (let call = 0; call < calls; call += 1) {
        await timed(millis, () => ledger.audit.append({ events: [event] }))
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
    return callers * calls
  }
}

/** One transaction after the other, each with a row for each caller, of the bytes of an entry. */
function insertsOf(client: pg.Client, line: string): Way {
  return async (callers, calls, millis) => {
    const lines = Array.from({ length: callers }, () => line)
    for (let call = 0; call < calls; call += 1) {
      await timed(millis, () => client.query('INSERT INTO bare (line) SELECT unnest($1::text[])', [lines]))
    }
    return callers * calls
  }
}

/** An entry of `appendsTo` as it is stored: its line and its free text. */
async function lineOf(ledger: Ledger): Promise<string> {
  const { events } = await ledger.audit.append({ events: [event] })
  const { disclosures, entry } = await ledger.log.prove({ seq: events[0]?.seq ?? 0 })
  return `${JSON.stringify(entry)}${JSON.stringify(disclosures)}`
}

function locksOf({ locks }: Ledger): Way {
  return async (callers, calls, millis) => {
    const caller = async (index: number) => {
      for (let call = 0; call < calls; call += 1) {
        const { lock_id } = await timed(millis, () => locks.acquire({ holder: 'bench', name: `bench-${index}` }))
        await locks.release({ lock_id })
      }
    }
    await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)))
    return 2 * callers * calls
  }
}

let records = 0
function locksIn(etcd: Etcd): Way {
  return async (callers, calls, millis) => {
    const newRecord = () => {
      records += 1
      return String(records)
    }
    const caller = async (index: number) => {
      for (let call = 0; call < calls; call += 1) {
        await timed(millis, () => etcd.acquire(`bench-${index}`, 'bench', newRecord()))
        await etcd.release(`bench-${index}`, 'bench', newRecord())
      }
    }
    const before = records
    await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)))
    strictEqual(records - before, 2 * callers * calls)
    return 2 * callers * calls
  }
}

await runAsProgram({
  name: 'postgres',
  asks: 'how fast is a ledger in PostgreSQL, beside a bare insert and etcd?',
  run,
})
