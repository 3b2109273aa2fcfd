import { strictEqual } from 'node:assert/strict'
import { join } from 'node:path'
import { newLedger } from './built.ts'
import type { Figure } from './figures.ts'
import { governed } from './governed.ts'
import { type BenchOptions, runAsProgram } from './program.ts'
import { difference, putsFigure } from './puts.ts'
import { againstYardstick } from './ratio.ts'
import { Yardstick } from './yardstick.ts'

const callers = 64
/** The entries of a run: created; decided and started; decided; acted; completed. */
const entriesOfRun = 6
/** The calls of a run. Each is a separate append, so two calls of one run are never in the same batch. */
const appendsOfRun = 5

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const runs = smoke ? 1 : 5
  const runsOfCaller = smoke ? 1 : 60
  const root = join(folder, 'root')
  const ledger = await newLedger(root)
  const { startRun, tool } = await governed(ledger)
  const yardstick = await Yardstick.open(join(folder, 'yardstick'))
  const caller = async (millis: number[]) => {
    for (let index = 0; index < runsOfCaller; index += 1) {
      const run_id = await startRun()
      const started = performance.now()
      const { decision_id } = await ledger.runs.authorize({ run_id, action: tool(run_id) })
      millis.push(performance.now() - started)
      await ledger.runs.record({ run_id, decision_id, outcome: 'success' })
      await ledger.runs.complete({ run_id, outcome_reason: 'done' })
    }
  }
  const before = ledger.counts
  const entries = callers * runsOfCaller * entriesOfRun
  const workload = {
    what: `governed runs, ${callers} callers`,
    entries,
    inBatch: callers,
    write: async (millis: number[]) => {
      await Promise.all(Array.from({ length: callers }, () => caller(millis)))
    },
  }
  const figures = await againstYardstick(yardstick, workload, { runs, ratioAtLeast: 0.2 })

  const counts = difference(ledger.counts, before)
  strictEqual(counts.entries, entries * (runs + 1), 'six entries for each run')
  // Every call writes only the row of its run, once. The two entries of a start change the same row.
  const rows = (counts.entries / entriesOfRun) * appendsOfRun
  const puts = putsFigure(counts, { rows, size: (await ledger.head.get()).size, what: 'puts an entry' })
  const running = await ledger.runs.list({ status: 'running' })
  strictEqual(running.runs.length, 1, 'all but the run above have ended')
  await ledger.log.verify()
  await ledger.close()
  await yardstick.close()
  const perSecond = (figures[0]?.value ?? Number.NaN) / entriesOfRun
  const note = 'create, start, authorize, record, complete'
  return [...figures, { what: 'of that: whole runs', value: perSecond, unit: 'runs/s', note }, puts]
}

await runAsProgram({
  name: 'runs',
  asks: 'how much does a governed run of one tool call cost, from creation to end, compared with the minimum of the disk?',
  run,
})
