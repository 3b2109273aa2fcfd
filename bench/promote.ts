import { strictEqual } from 'node:assert/strict'
import { join } from 'node:path'
import type { LocalLedger as Ledger } from '../src/index.ts'
import { newLedger } from './built.ts'
import { type Figure, latencies, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'
import { difference, putsFigure } from './puts.ts'
import { againstYardstick } from './ratio.ts'
import { Yardstick } from './yardstick.ts'

const callers = 64
const stemsOfTurn = 4
/** The rows of a promotion: its stems, each with an identity, one source, and the row of its run. */
const rowsOfPromotion = 2 * stemsOfTurn + 1 + 1

/** A run and the number of the turn that it promotes next. */
interface Chain {
  run_id: string
  next: number
}

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const root = join(folder, 'root')
  const ledger = await newLedger(root, { policy: true })
  const yardstick = await Yardstick.open(join(folder, 'yardstick'))
  const figures = [...(await parallel(ledger, yardstick, smoke)), ...(await sizes(ledger, smoke))]
  await ledger.log.verify()
  await ledger.close()
  await yardstick.close()
  return figures
}

/** 64 runs promote at once. Each promotes a turn of four stems that was staged and validated before. */
async function parallel(ledger: Ledger, yardstick: Yardstick, smoke: boolean): Promise<Figure[]> {
  const runsOfCaller = smoke ? 1 : 20
  const chains: Chain[][] = []
  for (let caller = 0; caller < callers; caller += 1) {
    const own = Array.from({ length: runsOfCaller }, (_, index) => startRun(ledger, `run_${caller}_${index}_parallel`))
    chains.push(await Promise.all(own))
  }
  const promotions = callers * runsOfCaller
  let puts: Figure | undefined
  const workload = {
    what: `promotions of ${stemsOfTurn} stems, ${callers} runs at once`,
    entries: promotions,
    inBatch: callers,
    prepare: () => byCaller(chains, (chain) => prepare(ledger, chain, fourStems(chain))),
    write: async (millis: number[]) => {
      const before = ledger.counts
      await byCaller(chains, async (chain) => {
        const started = performance.now()
        await promote(ledger, chain)
        millis.push(performance.now() - started)
      })
      const counts = difference(ledger.counts, before)
      strictEqual(counts.entries, promotions, 'one entry for each promotion')
      const { size } = await ledger.head.get()
      puts = putsFigure(counts, { rows: promotions * rowsOfPromotion, size, what: 'puts a promotion' })
    },
  }
  const figures = await againstYardstick(yardstick, workload, { runs: smoke ? 1 : 5, ratioAtLeast: 0.08 })
  const started = performance.now()
  strictEqual((await ledger.workspaces.files()).files, 'current', 'every workspace is on disk')
  const lag = (performance.now() - started) / 1000
  const behind = { what: 'files on disk, behind the last promotion', value: lag, unit: 's' }
  return puts === undefined ? [...figures, behind] : [...figures, puts, behind]
}

/** The cost of a promotion in workspaces with many and few stems, and to targets with many and few links. */
async function sizes(ledger: Ledger, smoke: boolean): Promise<Figure[]> {
  const [many, few] = smoke ? [40, 10] : [100_000, 1_000]
  const rounds = smoke ? 1 : 150
  const large = await filled(ledger, 'large', many)
  const small = await filled(ledger, 'small', few)
  const millis = { large: [] as number[], small: [] as number[], popular: [] as number[], lone: [] as number[] }
  const timed = async (kind: keyof typeof millis, chain: Chain, stems: object[]) => {
    await prepare(ledger, chain, stems)
    const started = performance.now()
    await promote(ledger, chain)
    millis[kind].push(performance.now() - started)
  }
  for (let round = 0; round < rounds; round += 1) {
    await timed('large', large, fourStems(large))
    await timed('small', small, fourStems(small))
    await timed('popular', large, [linked(large, 'popular')])
    await timed('lone', large, [linked(large, 'lone')])
  }
  const bars = (at_most: number) => (smoke ? {} : { bar: { kind: 'ratio' as const, at_most } })
  return [
    { what: `a promotion beside ${few} stems`, value: median(millis.small), unit: 'ms', ...latencies(millis.small) },
    { what: `a promotion beside ${many} stems`, value: median(millis.large), unit: 'ms', ...latencies(millis.large) },
    { what: 'of that: ratio', value: median(millis.large) / median(millis.small), unit: 'times', ...bars(1.5) },
    { what: 'one more source of a target with few', value: median(millis.lone), unit: 'ms', ...latencies(millis.lone) },
    { what: `the same of one with ${many}`, value: median(millis.popular), unit: 'ms', ...latencies(millis.popular) },
    { what: 'of that: ratio', value: median(millis.popular) / median(millis.lone), unit: 'times', ...bars(1.25) },
  ]
}

/** Fills a workspace with this many stems. All but a few point to one target. */
async function filled(ledger: Ledger, name: string, stems: number): Promise<Chain> {
  const chain = await startRun(ledger, `run_${name}_workspace`)
  const targets = ['popular', 'lone'].map((id) => ({ stem: id, body: { dto_type: 'target', id } }))
  await prepare(ledger, chain, targets)
  await promote(ledger, chain)
  for (let from = 0; from < stems; from += 10_000) {
    const triplets = Array.from({ length: Math.min(10_000, stems - from) }, (_, index) => ({
      stem: `fill/${from + index}`,
      body: { dto_type: 'fill', id: String(from + index) },
      links: { to: { type: 'target', id: from + index < 10 ? 'lone' : 'popular' } },
    }))
    await prepare(ledger, chain, triplets)
    await promote(ledger, chain)
  }
  // Waits, so that only a promotion is measured and not the files of earlier promotions.
  await ledger.workspaces.files()
  return chain
}

async function startRun(ledger: Ledger, run_id: string): Promise<Chain> {
  await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
  await ledger.runs.start({ run_id })
  return { run_id, next: 1 }
}

/** Four new stems. One of them points to another. */
function fourStems({ next }: Chain): object[] {
  return Array.from({ length: stemsOfTurn }, (_, index) => ({
    stem: `turn/${next}/stem-${index}`,
    body: { dto_type: 'note', id: `${next}-${index}`, text: 'what became true' },
    links: index === 0 ? { next: { type: 'note', id: `${next}-1` } } : {},
  }))
}

function linked({ next }: Chain, id: string): object {
  return {
    stem: `to/${id}/${next}`,
    body: { dto_type: 'pointer', id: `${next}` },
    links: { to: { type: 'target', id } },
  }
}

async function prepare(ledger: Ledger, chain: Chain, triplets: object[]): Promise<void> {
  const of = { run_id: chain.run_id, turn_id: turnId(chain) }
  await ledger.turns.stage({ ...of, triplets: triplets as { stem: string }[] })
  strictEqual((await ledger.turns.validate(of)).outcome, 'PASS', 'the staged proposal is valid')
}

async function promote(ledger: Ledger, chain: Chain): Promise<void> {
  await ledger.turns.promote({ run_id: chain.run_id, turn_id: turnId(chain) })
  chain.next += 1
}

function turnId({ next }: Chain): string {
  return `turn-${String(next).padStart(4, '0')}`
}

/** All callers work at once. Each works through its own runs, one after another. */
async function byCaller(chains: readonly Chain[][], work: (chain: Chain) => Promise<void>): Promise<void> {
  await Promise.all(
    chains.map(async (own) => {
      for (const chain of own) await work(chain)
    }),
  )
}

await runAsProgram({
  name: 'promote',
  asks: 'how much does the promotion of a turn cost, compared with the minimum of the disk, and does it depend on the size of the workspace?',
  run,
})
