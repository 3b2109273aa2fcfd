import { ok, strictEqual } from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lock } from 'proper-lockfile'
import { Bench } from 'tinybench'
import { newLedger } from './built.ts'
import type { Figure } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'
import { difference, putsFigure } from './puts.ts'
import { againstYardstick } from './ratio.ts'
import { Yardstick } from './yardstick.ts'

interface Case {
  callers: number
  /** Locks that each caller takes and releases in one run. */
  pairs: number
  ratioAtLeast: number
}

const cases: Case[] = [
  { callers: 1, pairs: 1_500, ratioAtLeast: 0.6 },
  { callers: 64, pairs: 400, ratioAtLeast: 0.3 },
  { callers: 1_024, pairs: 50, ratioAtLeast: 0.1 },
]

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const each of cases) {
    const { callers } = each
    const pairs = smoke ? Math.ceil(128 / callers) : each.pairs
    figures.push(...(await ledgerFigures({ ...each, pairs }, join(folder, String(callers)), smoke ? 1 : 5)))
  }
  figures.push(await lockfileFigure(folder, smoke))
  return figures
}

const pids = [process.pid]

async function ledgerFigures({ callers, pairs, ratioAtLeast }: Case, folder: string, runs: number): Promise<Figure[]> {
  const root = join(folder, 'root')
  const ledger = await newLedger(root)
  const yardstick = await Yardstick.open(join(folder, 'yardstick'))
  const caller = async (index: number, millis: number[]) => {
    for (let pair = 0; pair < pairs; pair += 1) {
      const started = performance.now()
      const { lock_id } = await ledger.locks.acquire({ name: `bench-${index}`, holder: 'bench', pids })
      millis.push(performance.now() - started)
      await ledger.locks.release({ lock_id })
    }
  }
  const before = ledger.counts
  const entries = callers * pairs * 2
  const workload = {
    what: `acquire and release, ${callers} callers`,
    entries,
    inBatch: callers,
    write: async (millis: number[]) => {
      await Promise.all(Array.from({ length: callers }, (_, index) => caller(index, millis)))
    },
  }
  const figures = await againstYardstick(yardstick, workload, { runs, ratioAtLeast })

  const counts = difference(ledger.counts, before)
  strictEqual(counts.entries, entries * (runs + 1), 'one entry for each acquire and each release')
  // Each entry changes the row of its lock, and no two entries of a batch change the same row.
  const puts = putsFigure(counts, { rows: counts.entries, size: (await ledger.head.get()).size, what: 'puts an entry' })
  await ledger.log.verify()
  await ledger.close()
  await yardstick.close()
  return [...figures, puts]
}

/**
 * proper-lockfile, for comparison: neither durable nor recorded. One lock and unlock of it corresponds to two entries
 * of Lockstep.
 */
async function lockfileFigure(folder: string, smoke: boolean): Promise<Figure> {
  const file = join(folder, 'guarded')
  writeFileSync(file, '')
  let pairs = 0
  const bench = new Bench({ throws: true, time: smoke ? 10 : 3_000, warmupTime: smoke ? 1 : 500, iterations: 16 })
  bench.add('proper-lockfile', async () => {
    const unlock = await lock(file)
    await unlock()
    pairs += 1
  })
  const [task] = await bench.run()
  if (task?.result.state !== 'completed') throw new Error(`proper-lockfile: ${task?.result.state}`)
  const { latency } = task.result
  ok(pairs >= latency.samplesCount, 'every sample locked and unlocked')
  return {
    what: 'proper-lockfile, 1 caller',
    value: 1000 / latency.mean,
    unit: 'pairs/s',
    p50_ms: latency.p50,
    p99_ms: latency.p99,
    max_ms: latency.max,
    samples: latency.samplesCount,
    note: 'lock and unlock; not durable, no record',
  }
}

await runAsProgram({
  name: 'acquire-release',
  asks: 'how much does a durable, recorded acquire and release cost, compared with the minimum of the disk?',
  run,
})
