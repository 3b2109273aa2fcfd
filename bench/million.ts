import { ok, strictEqual } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { hold, newLedger } from './built.ts'
import { type Figure, median, percentile } from './figures.ts'
import { freshProgram, inFreshProcess, openFigure, type Said } from './fresh.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const entriesFull = 1_000_000
const entriesSmoke = 2_000
const callers = 1_024
/** Names that are locked repeatedly, each by its own caller. All other names are locked once. */
const busyNames = 10
/** One in this many names stays held. */
const heldEvery = 50
const leaseSeconds = 86_400
const parts = 10
const opens = 5

/** Half as many names as entries, a fiftieth of them held: 1,000,000 entries, 500,000 names, 10,000 held. */
function planOf(entries: number) {
  const names = entries / 2 - busyNames
  return { entries, names, held: Math.ceil(names / heldEvery), busyPairs: entries / 2_000 + 1 }
}
type Plan = ReturnType<typeof planOf>

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const plan = planOf(smoke ? entriesSmoke : entriesFull)
  const warm = join(folder, 'warm-up')
  const root = join(folder, 'root')
  if (!smoke) await build(warm, planOf(40_000))
  const marks = await build(root, plan)
  return [...writeFigures(plan, marks), ...freshFigures(plan, root, smoke ? 1 : opens)]
}

/** Builds the ledger. Resolves with the time at which each tenth of its entries was written. */
async function build(root: string, { busyPairs, entries, held, names }: Plan): Promise<number[]> {
  const ledger = await newLedger(root)
  const marks = [performance.now()]
  const mark = () => {
    if (ledger.counts.entries >= (marks.length * entries) / parts) marks.push(performance.now())
  }
  const acquire = (name: string) => hold(ledger, { name, holder: 'bench', lease_duration_s: leaseSeconds })
  let next = 0
  const caller = async (index: number) => {
    for (let pair = 0; index < busyNames && pair < busyPairs; pair += 1) {
      const { lock_id } = await acquire(`busy-${index}`)
      await ledger.locks.release({ lock_id })
    }
    while (index >= busyNames && next < names) {
      const name = next++
      const { lock_id } = await acquire(`name-${name}`)
      if (name % heldEvery !== 0) await ledger.locks.release({ lock_id })
      mark()
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)))
  mark()
  strictEqual(ledger.counts.entries, entries)
  strictEqual(2 * (names + busyNames * busyPairs) - held, entries)
  await ledger.close()
  return marks
}

function writeFigures({ entries }: Plan, marks: readonly number[]): Figure[] {
  strictEqual(marks.length, parts + 1)
  const part = entries / parts
  const rates = marks.slice(1).map((mark, index) => (part / (mark - (marks[index] ?? Number.NaN))) * 1000)
  const beginning = median(rates.slice(0, 3))
  const end = median(rates.slice(-3))
  const said = rates.map((rate) => Math.round(rate).toLocaleString('en-US')).join(' ')
  return [
    { what: `writing, ${callers} callers`, value: median(rates), unit: 'entries/s', note: `each tenth: ${said}` },
    {
      what: 'writing: end ÷ beginning',
      value: end / beginning,
      unit: 'times',
      note: 'medians of the last and the first three tenths',
      bar: { kind: 'ratio', at_least: 0.8 },
    },
  ]
}

function freshFigures({ entries, held }: Plan, root: string, times: number): Figure[] {
  const opened = Array.from({ length: times }, () => inFreshProcess('open', root))
  ok(opened.every(({ size }) => (size ?? 0) > entries))
  const largest = (key: string) =>
    percentile(
      opened.map((each) => each[key] ?? Number.NaN),
      1,
    )
  const memory = `${largest('at_start_mb').toFixed(0)} MB before opening, ${largest('at_open_mb').toFixed(0)} MB once open`

  const verified = inFreshProcess('verify', root)
  ok((verified.entries ?? 0) > entries)
  const rebuilt = inFreshProcess('rebuild', root)
  ok((rebuilt.entries ?? 0) > entries)
  const listed = inFreshProcess('list', root)
  strictEqual(listed.listed, held)
  const history = inFreshProcess('history', root)
  strictEqual(history.listed, 2 * planOf(entries).busyPairs)

  const death = spawnSync(process.execPath, [freshProgram, 'die', root])
  strictEqual(death.signal, 'SIGKILL')
  const afterDeath = inFreshProcess('open', root)
  return [
    openFigure(
      'opening',
      opened.map(({ ms = Number.NaN }) => ms),
    ),
    openFigure('opening after a SIGKILL', [afterDeath.ms ?? Number.NaN]),
    {
      what: 'resident after open, acquire and release',
      value: largest('resident_mb'),
      unit: 'MB',
      note: memory,
      bar: { kind: 'absolute', at_most: 200 },
    },
    rateFigure('verify', verified),
    rateFigure('rebuilding the views', rebuilt),
    { what: 'lock list', value: listed.ms ?? Number.NaN, unit: 'ms', note: `${held} held` },
    { what: 'lock history', value: history.ms ?? Number.NaN, unit: 'ms', note: `${history.listed} entries` },
  ]
}

function rateFigure(what: string, { entries = 0, ms = Number.NaN }: Said): Figure {
  const value = (entries / ms) * 1000
  return {
    what,
    value,
    unit: 'entries/s',
    note: `${(ms / 1000).toFixed(1)} s`,
    bar: { kind: 'absolute', at_least: 60_000 },
  }
}

await runAsProgram({
  name: 'million',
  asks: 'does a ledger of a million entries open, write, list and verify like a small ledger?',
  run,
})
