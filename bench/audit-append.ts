import { strictEqual } from 'node:assert/strict'
import { join } from 'node:path'
import { newLedger } from './built.ts'
import type { Figure } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'
import { difference, putsFigure } from './puts.ts'
import { againstYardstick } from './ratio.ts'
import { Yardstick } from './yardstick.ts'

interface Case {
  what: string
  callers: number
  /** Calls of each caller in one run, and events in each. */
  calls: number
  events: number
  ratioAtLeast?: number
}

const cases: Case[] = [
  { what: 'single events, 64 callers', callers: 64, calls: 500, events: 1, ratioAtLeast: 0.3 },
  { what: '100 events a call, 1 caller', callers: 1, calls: 300, events: 100 },
]

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [index, each] of cases.entries()) {
    const calls = smoke ? 3 : each.calls
    figures.push(...(await caseFigures({ ...each, calls }, join(folder, String(index)), smoke ? 1 : 5)))
  }
  return figures
}

async function caseFigures(each: Case, folder: string, runs: number): Promise<Figure[]> {
  const { what, callers, calls, events, ...bar } = each
  const root = join(folder, 'root')
  const ledger = await newLedger(root)
  const yardstick = await Yardstick.open(join(folder, 'yardstick'))
  const before = ledger.counts
  const entries = callers * calls * events
  const caller = async (index: number, millis: number[]) => {
    const appended = Array.from({ length: events }, (_, event) => eventOf(index, event))
    for (let call = 0; call < calls; call += 1) {
      const started = performance.now()
      await ledger.audit.append({ events: appended })
      millis.push(performance.now() - started)
    }
  }
  const workload = {
    what,
    entries,
    // A batch has the events of all callers in flight.
    inBatch: callers * events,
    write: async (millis: number[]) => {
      await Promise.all(Array.from({ length: callers }, (_, index) => caller(index, millis)))
    },
  }
  const figures = await againstYardstick(yardstick, workload, { runs, ...bar })

  const counts = difference(ledger.counts, before)
  strictEqual(counts.entries, entries * (runs + 1), 'one entry for each event')
  // Events outside runs share one row, which is written once for each batch.
  const puts = putsFigure(counts, {
    rows: counts.batches,
    size: (await ledger.head.get()).size,
    what: `${what}: puts an entry`,
  })
  await ledger.log.verify()
  await ledger.close()
  await yardstick.close()
  return [...figures, puts]
}

function eventOf(caller: number, event: number) {
  return {
    action_type: 'system' as const,
    notes: `build ${event} deployed by caller ${caller}`,
    outcome: 'success' as const,
    target: { name: `service-${caller}`, operation: 'deploy', target_type: 'system' as const },
  }
}

await runAsProgram({
  name: 'audit-append',
  asks: 'how much does a recorded event cost, alone and in calls of 100, compared with the minimum of the disk?',
  run,
})
