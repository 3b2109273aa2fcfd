import { strictEqual } from 'node:assert/strict'
import pg from 'pg'
import type { Recorded } from '../src/log/log.ts'
import { Database } from '../src/log/postgres/database.ts'
import { openWriter } from '../src/log/postgres/open.ts'
import type { PostgresLog } from '../src/log/postgres/postgres-log.ts'
import { createInDatabase, setUpSchema } from '../src/log/postgres/setup.ts'
import { recorded, sampleEntries, sampleMeta } from '../test/support/log-of.ts'
import { postgresMissing, startPostgres } from '../test/support/postgres.ts'
import { type Figure, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const sizes = [64, 512]
const ratioAtLeast = 0.8

/**
 * The append of the engine, as the writer sends it: batches with the rows that they change, and one batch sent ahead.
 * Beside it, in turn, the least that keeps the same bytes: one statement for each batch that inserts the same lines as
 * rows of one table, in a transaction of its own.
 */
async function run({ smoke }: BenchOptions): Promise<Figure[]> {
  if (postgresMissing !== undefined) {
    return [{ what: 'reasons not to measure', value: 1, unit: 'reasons', note: postgresMissing }]
  }
  const server = await startPostgres()
  try {
    const figures: Figure[] = []
    for (const inBatch of sizes) {
      const batches = smoke ? 2 : Math.ceil(16_384 / inBatch)
      figures.push(...(await figuresOf(await server.database(), { batches, inBatch, runs: smoke ? 1 : 7 })))
    }
    return figures
  } finally {
    await server.close()
  }
}

interface Case {
  batches: number
  inBatch: number
  runs: number
}

async function figuresOf(url: string, { batches, inBatch, runs }: Case): Promise<Figure[]> {
  const database = await Database.of({ connectionString: url })
  await setUpSchema(database, 'lockstep_writer')
  await createInDatabase(database, sampleMeta)
  await database.close()
  const file = { engine: url, ledger_id: sampleMeta.ledger_id, node: 'bench' }
  const log = await openWriter({ file, openWaitSeconds: 5, process: 'bench' })
  const bare = await bareTable(url)
  const entries = sampleEntries((runs + 1) * batches * inBatch).map(recorded)
  const rates: { append: number; bare: number }[] = []
  for (let run = 0; run <= runs; run += 1) {
    const part = entries.slice(run * batches * inBatch, (run + 1) * batches * inBatch)
    const cut = Array.from({ length: batches }, (_, at) => part.slice(at * inBatch, (at + 1) * inBatch))
    const rate = async (work: (cut: Recorded[][]) => Promise<void>) => {
      const started = performance.now()
      await work(cut)
      return (part.length / (performance.now() - started)) * 1_000
    }
    // The order alternates, because the second has to write what the first left in the memory of the server.
    const first = run % 2 === 0 ? await rate((each) => appendAll(log, each)) : undefined
    const yard = await rate(bare.insertAll)
    const append = first ?? (await rate((each) => appendAll(log, each)))
    // The first run only warms up.
    if (run > 0) rates.push({ append, bare: yard })
  }
  strictEqual(log.head().size, entries.length)
  await log.close()
  await bare.close()
  const ratios = rates.map(({ append, bare: yard }) => append / yard)
  const what = `append, ${inBatch} in flight`
  return [
    { what, value: median(rates.map(({ append }) => append)), unit: 'entries/s' },
    { what: `${what}: bare insert`, value: median(rates.map(({ bare: yard }) => yard)), unit: 'entries/s' },
    {
      what: `${what}: ratio`,
      value: median(ratios),
      unit: 'yardsticks',
      note: `runs ${ratios.map((each) => each.toFixed(2)).join(' ')}`,
      bar: { kind: 'ratio', at_least: ratioAtLeast },
    },
  ]
}

/** One batch is sent while the one before it is written. */
async function appendAll(log: PostgresLog, cut: readonly Recorded[][]): Promise<void> {
  let before: Promise<unknown> = Promise.resolve()
  for (const batch of cut) {
    const size = batch[0]?.entry.seq ?? 0
    const row = { view: 'row', key: 'audit', value: { last_seq: size + batch.length - 1, state: {} } } as const
    const sent = log.append({ size }, batch, [row], {})
    await before
    before = sent
  }
  await before
}

async function bareTable(url: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('CREATE TABLE bare (seq bigint PRIMARY KEY, line text NOT NULL)')
  const text = 'INSERT INTO bare SELECT u.* FROM unnest($1::bigint[], $2::text[]) AS u'
  return {
    insertAll: async (cut: readonly Recorded[][]) => {
      for (const batch of cut) {
        const values = [batch.map(({ entry }) => entry.seq), batch.map((each) => each.text)]
        await client.query({ name: 'bare', text, values })
      }
    },
    close: () => client.end(),
  }
}

await runAsProgram({
  name: 'postgres-append',
  asks: 'how much does the append of the PostgreSQL engine cost, compared with a bare insert of the same lines?',
  run,
})
