import { strictEqual } from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { newLedger } from './built.ts'
import { type Figure, latencies, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const callers = 64
/** The path locks that are held meanwhile, in as many folders as each folder has files. */
const held = 10_000

type Locks = Awaited<ReturnType<typeof newLedger>>['locks']
type Asked = { name: string } | { paths: string[] }

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const root = join(folder, 'root')
  const pairs = smoke ? 1 : 200
  const ledger = await newLedger(root)
  const { locks } = ledger
  const folders = Math.sqrt(smoke ? 100 : held)
  for (let index = 0; index < folders; index += 1) mkdirSync(join(root, `packages/p${index}/src`), { recursive: true })
  const deep = Array.from({ length: 29 }, (_, index) => `d${index}`).join('/')
  mkdirSync(join(root, deep), { recursive: true })
  mkdirSync(join(root, 'shallow/src'), { recursive: true })
  for (let index = 0; index < folders; index += 1) {
    const files = Array.from({ length: folders }, (_, file) => `packages/p${index}/src/held-${file}.ts`)
    await Promise.all(files.map((path) => locks.acquire({ holder: 'held', lease_duration_s: 86_400, paths: [path] })))
  }

  const workloads = {
    'plain names': (caller: number) => ({ name: `bench-${caller}` }),
    'paths beside the held ones': (caller: number) => ({
      paths: [`packages/p${caller % folders}/src/own-${caller}.ts`],
    }),
    'paths of depth 3': (caller: number) => ({ paths: [`shallow/src/own-${caller}.ts`] }),
    'paths of depth 30': (caller: number) => ({ paths: [`${deep}/own-${caller}.ts`] }),
  }
  const names = Object.keys(workloads) as (keyof typeof workloads)[]
  const rates = new Map(names.map((name) => [name, [] as number[]]))
  const millis = new Map(names.map((name) => [name, [] as number[]]))
  // The first round warms up. Workloads take turns, so that a slow moment of the machine affects all of them.
  for (let round = 0; round <= (smoke ? 1 : 5); round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const taken: number[] = []
      const rate = await pairsPerSecond(locks, { asked: workloads[name], millis: taken, pairs })
      if (round === 0) continue
      rates.get(name)?.push(rate)
      millis.get(name)?.push(...taken)
    }
  }
  strictEqual((await locks.list()).locks.length, folders * folders, 'every lock of a caller was released')
  await ledger.log.verify()
  await ledger.close()

  const rateOf = (name: keyof typeof workloads) => rates.get(name) ?? []
  const ratio = (one: keyof typeof workloads, other: keyof typeof workloads): Figure => {
    const ratios = rateOf(one).map((rate, round) => rate / (rateOf(other)[round] ?? Number.NaN))
    const note = `rounds ${ratios.map((each) => each.toFixed(2)).join(' ')}`
    return { what: `${one} ÷ ${other}`, value: median(ratios), unit: '', note, bar: { kind: 'ratio', at_least: 0.5 } }
  }
  return [
    ...names.map((what): Figure => {
      return { what, value: median(rateOf(what)), unit: 'pairs/s', ...latencies(millis.get(what) ?? []) }
    }),
    ratio('paths beside the held ones', 'plain names'),
    ratio('paths of depth 30', 'paths of depth 3'),
  ]
}

async function pairsPerSecond(
  locks: Locks,
  { asked, millis, pairs }: { asked: (caller: number) => Asked; millis: number[]; pairs: number },
): Promise<number> {
  const started = performance.now()
  const caller = async (index: number) => {
    for (let pair = 0; pair < pairs; pair += 1) {
      const before = performance.now()
      const { lock_id } = await locks.acquire({ ...asked(index), holder: 'bench' })
      millis.push(performance.now() - before)
      await locks.release({ lock_id })
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)))
  return (callers * pairs * 1000) / (performance.now() - started)
}

await runAsProgram({
  name: 'paths',
  asks: 'how much more does a lock on a path cost than one on a name, while 10,000 paths are held?',
  run,
})
