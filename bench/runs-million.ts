import { ok, strictEqual } from 'node:assert/strict'
import { join } from 'node:path'
import { newLedger } from './built.ts'
import { type Figure, latencies, median, percentile } from './figures.ts'
import { inFreshProcess, openFigure } from './fresh.ts'
import { treeOfRuns } from './governed.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const runsFull = 50_000
const runsSmoke = 40
const callers = 1_024
/**
 * The entries of a run: creation; decision and start; a decision and an action event for each call; the end, or a
 * heartbeat.
 */
const callsOfRun = 8
const entriesOfRun = 3 + 2 * callsOfRun + 1
/** One in this many runs is left running. */
const runningEvery = 100
/** The number of runs below one orchestrator with its own case: a tree of 10,003 entries. */
const runsOfTree = 500
const leaseSeconds = 86_400
const times = 5

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const root = join(folder, 'root')
  const runs = smoke ? runsSmoke : runsFull
  const built = await build(root, runs)
  return [
    { what: `writing, ${callers} callers`, value: built.entriesPerSecond, unit: 'entries/s' },
    {
      what: 'after it: the index reaches the end',
      value: built.indexMillis,
      unit: 'ms',
      note: 'of a ledger that was never at rest',
    },
    ...freshFigures(root, runs, smoke ? 1 : times),
  ]
}

/** Builds the ledger: 1,000,000 entries over 50,000 runs in 100 trees, 600 of them running. */
async function build(root: string, runs: number): Promise<{ entriesPerSecond: number; indexMillis: number }> {
  const ledger = await newLedger(root)
  await ledger.policy.reload()
  const trees = await Promise.all(
    Array.from({ length: Math.ceil(runs / runsOfTree) }, (_, index) =>
      treeOfRuns(ledger, { case_id: `CASE-${index}`, run_id: `run_above_${index}` }),
    ),
  )
  const before = ledger.counts.entries
  const started = performance.now()
  let next = 0
  const caller = async () => {
    while (next < runs) {
      const index = next++
      const { startRun, tool } = trees[Math.floor(index / runsOfTree)] as (typeof trees)[number]
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
  const entriesPerSecond = (entries / (performance.now() - started)) * 1000
  const written = performance.now()
  await ledger.runs.list({ limit: 1 })
  const indexMillis = performance.now() - written
  await ledger.close()
  return { entriesPerSecond, indexMillis }
}

interface Listed {
  listed: number
  millis: number[]
}

interface Exported {
  bytes: number
  entries: number
  millis: number[]
  verifyMillis: number[]
}

function freshFigures(root: string, runs: number, openings: number): Figure[] {
  const opened = Array.from({ length: openings }, () => inFreshProcess('open', root))
  ok(opened.every(({ size }) => (size ?? 0) > runs * entriesOfRun))
  const shown = inFreshProcess<Listed>('runShow', root, String(runs))
  ok(shown.listed > 0)
  const listed = inFreshProcess<Listed>('runList', root)
  const trees = Math.ceil(runs / runsOfTree)
  const running = Math.ceil(runs / runningEvery) + trees
  strictEqual(listed.listed, running * listed.millis.length)
  const ofRun = inFreshProcess<Listed>('auditRun', root, String(runs))
  strictEqual(ofRun.listed, ofRun.millis.length * entriesOfRun)
  const ofCase = inFreshProcess<Listed>('auditCase', root, String(trees))
  ok(ofCase.listed > 0)
  const tree = inFreshProcess<Listed>('runTree', root, String(trees))
  strictEqual(tree.listed, tree.millis.length * (Math.min(runs, runsOfTree) + 1))
  const exported = inFreshProcess<Exported>('exportTree', root)
  strictEqual(exported.entries, Math.min(runs, runsOfTree) * entriesOfRun + 3)
  const after = runs + trees
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
      note: `${running} of ${after} runs`,
      bar: { kind: 'absolute', at_most: 50 },
    },
    {
      what: 'audit list --run, first page',
      value: median(ofRun.millis),
      unit: 'ms',
      ...latencies(ofRun.millis),
      note: 'each for the first time',
      bar: { kind: 'absolute', at_most: 20 },
    },
    {
      what: 'audit list --case --action-type, first page',
      value: median(ofCase.millis),
      unit: 'ms',
      ...latencies(ofCase.millis),
    },
    {
      what: `run tree, ${Math.min(runs, runsOfTree) + 1} runs`,
      value: median(tree.millis),
      unit: 'ms',
      ...latencies(tree.millis),
    },
    {
      what: 'export create of a tree',
      value: median(exported.millis),
      unit: 'ms',
      ...latencies(exported.millis),
      note: `${exported.entries} entries, ${Math.round(exported.bytes / 1024)} KiB; all of one size are the same bytes`,
      bar: { kind: 'absolute', at_most: 5_000 },
    },
    {
      what: 'export verify of it',
      value: median(exported.verifyMillis),
      unit: 'ms',
      ...latencies(exported.verifyMillis),
    },
  ]
}

await runAsProgram({
  name: 'runs-million',
  asks: 'does a ledger with a million entries and 50,000 runs still open, show a run, list running runs and export a tree?',
  run,
})
