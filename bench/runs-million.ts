import { ok, strictEqual } from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openLedger } from './built.ts'
import { type Figure, latencies, median, percentile } from './figures.ts'
import { inFreshProcess, openFigure } from './fresh.ts'
import { governed } from './governed.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const runsFull = 50_000
const runsSmoke = 200
const callers = 1_024
/** Created; decided and started; a decision and an action event for each call; the end, or a heartbeat. */
const callsOfRun = 8
const entriesOfRun = 3 + 2 * callsOfRun + 1
/** One of so many runs is left running. */
const runningEvery = 100
const leaseSeconds = 86_400
const times = 5

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const root = join(folder, 'root')
  const runs = smoke ? runsSmoke : runsFull
  const entriesPerSecond = await build(root, runs)
  return [
    { what: `writing, ${callers} callers`, value: entriesPerSecond, unit: 'entries/s' },
    ...freshFigures(root, runs, smoke ? 1 : times),
  ]
}

/** Builds the ledger: 1,000,000 entries over 50,000 runs below one, 500 of them running. Resolves with its rate. */
async function build(root: string, runs: number): Promise<number> {
  mkdirSync(root)
  const ledger = await openLedger({ dir: root, create: true, actor: { actor_id: 'bench', actor_type: 'system' } })
  const { startRun, tool } = await governed(ledger)
  const before = ledger.counts.entries
  const started = performance.now()
  let next = 0
  const caller = async () => {
    while (next < runs) {
      const index = next++
      const run_id = await startRun({ lease_duration_s: leaseSeconds, run_id: `run_${String(index).padStart(6, '0')}` })
      for (let call = 0; call < callsOfRun; call += 1) {
        const { decision_id } = await ledger.runs.authorize({ run_id, action: tool(run_id) })
        await ledger.runs.record({ run_id, decision_id, outcome: 'success' })
      }
      if (index % runningEvery === 0) await ledger.runs.heartbeat({ run_id })
      else await ledger.runs.complete({ run_id, outcome_reason: 'done' })
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const entries = ledger.counts.entries - before
  strictEqual(entries, runs * entriesOfRun)
  const rate = (entries / (performance.now() - started)) * 1000
  await ledger.close()
  return rate
}

interface Listed {
  listed: number
  millis: number[]
}

function freshFigures(root: string, runs: number, openings: number): Figure[] {
  const opened = Array.from({ length: openings }, () => inFreshProcess('open', root))
  ok(opened.every(({ size }) => (size ?? 0) > runs * entriesOfRun))
  const shown = inFreshProcess<Listed>('runShow', root, String(runs))
  ok(shown.listed > 0)
  const listed = inFreshProcess<Listed>('runList', root)
  const running = Math.ceil(runs / runningEvery) + 1
  strictEqual(listed.listed, running * listed.millis.length)
  return [
    openFigure(
      'opening',
      opened.map(({ ms = Number.NaN }) => ms),
    ),
    {
      what: 'run show, p99',
      value: percentile(shown.millis, 0.99),
      unit: 'ms',
      ...latencies(shown.millis),
      note: 'each for the first time',
      bar: { kind: 'absolute', at_most: 5 },
    },
    {
      what: 'run list --state running',
      value: median(listed.millis),
      unit: 'ms',
      ...latencies(listed.millis),
      note: `${running} of ${runs + 1} runs`,
      bar: { kind: 'absolute', at_most: 50 },
    },
  ]
}

await runAsProgram({
  name: 'runs-million',
  asks: 'does a ledger of a million entries over 50,000 runs still open, show a run and list those that run?',
  run,
})
