import { ok, strictEqual } from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LocalLedger as Ledger } from '../src/index.ts'
import { newLedger, readStaging } from './built.ts'
import { type Figure, latencies, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const stemsFull = 10_000
const stemsSmoke = 20
const changes = 10
const run_id = 'run_staging_bench'
/** The bars for staging a directory: its duration, and the wait of other callers meanwhile. */
const secondsAtMost = 5
const waitMillisAtMost = 100

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const stems = smoke ? stemsSmoke : stemsFull
  const [root, directory] = [join(folder, 'root'), join(folder, 'staging')]
  writeStaging(directory, stems)
  const ledger = await newLedger(root, { policy: true })
  await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
  await ledger.runs.start({ run_id })
  const staged = await staging(ledger, directory, stems)
  const files = await materialising(ledger, join(root, 'workspace/run', run_id), stems)
  await ledger.workspaces.check({ run_id })
  await ledger.log.verify()
  await ledger.close()
  return [...staged, ...files]
}

/** Reads and stages a directory while another caller appends events, one after another. */
async function staging(ledger: Ledger, directory: string, stems: number): Promise<Figure[]> {
  const waits: number[] = []
  let isDone = false
  const other = async () => {
    while (!isDone) {
      const started = performance.now()
      await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
      waits.push(performance.now() - started)
      // Appends come about as often as in a busy fleet, so that appends alone do not keep the writer from the turn.
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
  const others = Array.from({ length: 4 }, other)
  const of = { run_id, turn_id: 'turn-0001' }
  const started = performance.now()
  const proposal = await readStaging(directory, { bounds: ledger.settings.turn_limits })
  const read = performance.now()
  const { counts } = await ledger.turns.stage({ ...of, ...proposal })
  const seconds = (performance.now() - started) / 1000
  isDone = true
  await Promise.all(others)
  strictEqual(counts.triplets, stems, 'every stem is staged')
  strictEqual((await ledger.turns.validate(of)).outcome, 'PASS')
  await ledger.turns.promote(of)
  const { p99_ms } = latencies(waits)
  const note = `${((read - started) / 1000).toFixed(2)} s of it reading`
  return [
    {
      what: `staging a directory of ${stems} stems`,
      value: seconds,
      unit: 's',
      note,
      bar: { kind: 'absolute', at_most: secondsAtMost },
    },
    {
      what: 'appends of others meanwhile, p99',
      value: p99_ms,
      unit: 'ms',
      ...latencies(waits),
      bar: { kind: 'absolute', at_most: waitMillisAtMost },
    },
  ]
}

/**
 * Writes the files of that turn, all new. Then writes those of turns that change one stem, with and without a spare
 * tree.
 */
async function materialising(ledger: Ledger, folder: string, stems: number): Promise<Figure[]> {
  const started = performance.now()
  strictEqual((await ledger.workspaces.files()).files, 'current')
  const whole = (performance.now() - started) / 1000
  const millis = { links: [] as number[], spare: [] as number[] }
  let turn = 2
  for (const kind of ['links', 'spare'] as const) {
    for (let change = 0; change < changes; change += 1) {
      if (kind === 'links') rmSync(join(folder, '.trees/spare.json'), { force: true })
      await promoteOne(ledger, turn)
      turn += 1
      const before = performance.now()
      strictEqual((await ledger.workspaces.files()).files, 'current')
      millis[kind].push(performance.now() - before)
    }
  }
  ok(millis.spare.length === changes)
  return [
    { what: `writing the files of ${stems} stems`, value: whole, unit: 's', note: `${3 * stems} files, each synced` },
    {
      what: 'the next tree for one stem, from the spare one',
      value: median(millis.spare),
      unit: 'ms',
      ...latencies(millis.spare),
    },
    { what: 'the same by linking every file', value: median(millis.links), unit: 'ms', ...latencies(millis.links) },
  ]
}

async function promoteOne(ledger: Ledger, turn: number): Promise<void> {
  const body = { dto_type: 'page', id: '1', turn }
  const turn_id = `turn-${String(turn).padStart(4, '0')}`
  await ledger.turns.apply({ run_id, turn_id, triplets: [{ body, links: {}, manifest: {}, stem: stemOf(1) }] })
}

function writeStaging(directory: string, stems: number): void {
  for (let stem = 0; stem < stems; stem += 1) {
    const path = join(directory, stemOf(stem))
    if (stem % 100 === 0) mkdirSync(join(path, '..'), { recursive: true })
    const text = 'what became true in this turn, at about the length of a paragraph. '.repeat(6)
    writeFileSync(`${path}.body.json`, JSON.stringify({ dto_type: 'page', id: String(stem), text }))
    const next = { id: String((stem + 1) % stems), type: 'page' }
    writeFileSync(`${path}.links.json`, JSON.stringify(stem === 1 ? {} : { next }))
    writeFileSync(`${path}.manifest.json`, JSON.stringify({ made_for: stem }))
  }
}

function stemOf(stem: number): string {
  return `pages/${Math.floor(stem / 100)}/page-${stem}`
}

await runAsProgram({
  name: 'staging',
  asks: 'how long does it take to stage a directory of 10,000 stems, how long do other callers wait, and how much do its files cost?',
  run,
})
