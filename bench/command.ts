import { deepStrictEqual, strictEqual } from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Bench } from 'tinybench'
import { built, commandPath, openLedger } from './built.ts'
import { type Figure, latencies, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const actor = { actor_id: 'bench', actor_type: 'system' } as const
/**
 * The modules that the command loads, in this order in one process. Each figure leaves out modules that were already
 * loaded.
 */
const modules = ['zod', 'msgpackr', 'nanoid', 'level', 'picocolors', 'commander']
const ownModules = ['index.js', 'cli/program.js']

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const root = join(folder, 'root')
  mkdirSync(root)
  lockstep(root, 'init', '--no-operator-token')
  const figures = [
    ...aloneFigures(root, smoke ? 1 : 30),
    await openCloseFigure(root, smoke),
    ...loadFigures(smoke ? 1 : 10),
    ...(await togetherFigures(root, smoke ? 2 : 40)),
    ...(await serviceFigures(
      root,
      smoke ? { alone: 1, processes: 2, rounds: 1 } : { alone: 30, processes: 40, rounds: 5 },
    )),
  ]
  const ledger = await openLedger({ dir: root, actor })
  await ledger.log.verify()
  await ledger.close()
  return figures
}

/** Whole processes, one after another, from spawn to exit. */
function aloneFigures(root: string, times: number): Figure[] {
  const millis = (work: (index: number) => void) =>
    Array.from({ length: times }, (_, index) => {
      const started = performance.now()
      work(index)
      return performance.now() - started
    })
  const empty = millis(() => spawnSync(process.execPath, ['--eval', '0']))
  const version = millis(() => lockstep(root, '--version'))
  lockstep(root, 'lock', 'acquire', 'warm-up', '--holder', 'bench')
  const acquired = millis((index) => {
    const { name } = JSON.parse(lockstep(root, 'lock', 'acquire', `alone-${index}`, '--holder', 'bench', '--json'))
    strictEqual(name, `resource:alone-${index}`)
  })
  return [
    {
      what: 'lock acquire, whole process',
      value: median(acquired),
      unit: 'ms',
      ...latencies(acquired),
      bar: { kind: 'absolute', at_most: 250 },
    },
    { what: 'of that: lockstep --version', value: median(version), unit: 'ms', ...latencies(version) },
    { what: 'of that: node, no program', value: median(empty), unit: 'ms', ...latencies(empty) },
  ]
}

/** The work of the command besides loading and deciding, in a warm process. */
async function openCloseFigure(root: string, smoke: boolean): Promise<Figure> {
  const bench = new Bench({
    throws: true,
    time: smoke ? 10 : 2_000,
    iterations: smoke ? 3 : 30,
    warmupTime: smoke ? 1 : 250,
  })
  bench.add('open and close', async () => {
    const ledger = await openLedger({ dir: root, actor })
    await ledger.close()
  })
  const [task] = await bench.run()
  if (task?.result.state !== 'completed') throw new Error(`open and close: ${task?.result.state}`)
  const { max, p50, p99, samplesCount } = task.result.latency
  return {
    what: 'open and close, in process',
    value: p50,
    unit: 'ms',
    p50_ms: p50,
    p99_ms: p99,
    max_ms: max,
    samples: samplesCount,
  }
}

/** How long each package takes to load, and then our own modules. */
function loadFigures(times: number): Figure[] {
  const specifiers = [...modules, ...ownModules.map((path) => new URL(path, built).href)]
  const source = `
    const millis = []
    for (const specifier of ${JSON.stringify(specifiers)}) {
      const started = performance.now()
      await import(specifier)
      millis.push(performance.now() - started)
    }
    console.log(JSON.stringify(millis))`
  const loads = Array.from({ length: times }, () => {
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', source], {
      cwd: new URL('..', built),
      encoding: 'utf8',
    })
    strictEqual(child.status, 0, child.stderr)
    return JSON.parse(child.stdout) as number[]
  })
  const names = [...modules, ...ownModules.map((path) => `dist/${path}`)]
  return names.map((name, index) => {
    const millis = loads.map((load) => load[index] ?? Number.NaN)
    return { what: `loading ${name}`, value: median(millis), unit: 'ms', samples: times }
  })
}

/** Many processes at once. Each acquires and releases with the command, without a service. */
async function togetherFigures(root: string, processes: number): Promise<Figure[]> {
  const results = await Promise.all(
    Array.from({ length: processes }, async (_, index) => {
      const name = `together-${index}`
      const acquired = await started(root, 'lock', 'acquire', name, '--holder', 'bench', '--json')
      const { lock_id } = JSON.parse(acquired.stdout || '{}') as { lock_id?: string }
      const released = await started(root, 'lock', 'release', lock_id ?? '', '--json')
      return { codes: [acquired.code, released.code], acquire: acquired.ms, both: acquired.ms + released.ms }
    }),
  )
  for (const { codes } of results) deepStrictEqual(codes, [0, 0], 'every process acquired and released')
  const acquires = results.map(({ acquire }) => acquire)
  const both = results.map((result) => result.both)
  const what = `${processes} processes at once`
  return [
    { what: `${what}: acquire`, value: median(acquires), unit: 'ms', ...latencies(acquires) },
    {
      what: `${what}: acquire, then release`,
      value: median(both),
      unit: 'ms',
      ...latencies(both),
      note: 'all succeeded',
    },
  ]
}

interface Sizes {
  alone: number
  processes: number
  rounds: number
}

/** The same over a service, beside Node without a program and beside the command without a service, in turns. */
async function serviceFigures(root: string, { alone, processes, rounds }: Sizes): Promise<Figure[]> {
  const other = `${root}-served`
  mkdirSync(other)
  lockstep(other, 'init', '--no-operator-token')
  const service = spawn(process.execPath, [commandPath, 'serve'], { cwd: other, stdio: ['ignore', 'ignore', 'pipe'] })
  await once(service.stderr, 'data')
  const ratios: number[] = []
  for (let index = 0; index < alone; index += 1) {
    const [empty, acquired] = [emptyMillis(), millisOf(() => acquire(other, `alone-${index}`))]
    ratios.push(acquired / empty)
  }
  const [toAlone, toNode]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round += 1) {
    const together = (dir: string) =>
      allMillis(processes, (index) => started(dir, 'lock', 'acquire', `round-${round}-${index}`, '--holder', 'bench'))
    const served = await together(other)
    toAlone.push(served / (await together(root)))
    toNode.push(served / (await allMillis(processes, () => emptyProcess())))
  }
  service.kill()
  await once(service, 'exit')
  return [
    {
      what: 'over a service: lock acquire ÷ node, no program',
      value: median(ratios),
      unit: '×',
      samples: alone,
      bar: { kind: 'ratio', at_most: 1.5 },
    },
    {
      what: `over a service: ${processes} at once ÷ the same without one`,
      value: median(toAlone),
      unit: '×',
      samples: rounds,
      bar: { kind: 'ratio', at_most: 0.35 },
    },
    {
      what: `over a service: ${processes} at once ÷ ${processes} times node`,
      value: median(toNode),
      unit: '×',
      samples: rounds,
      note: 'at most 1.5 is enough, too',
    },
  ]
}

function millisOf(work: () => unknown): number {
  const from = performance.now()
  work()
  return performance.now() - from
}

const emptyMillis = () => millisOf(() => spawnSync(process.execPath, ['--eval', '0']))
const acquire = (root: string, name: string) => lockstep(root, 'lock', 'acquire', name, '--holder', 'bench', '--json')

/** From the start of the first of many processes to the end of the last. All must succeed. */
async function allMillis(
  processes: number,
  start: (index: number) => Promise<{ code: number | null }>,
): Promise<number> {
  const from = performance.now()
  const ends = await Promise.all(Array.from({ length: processes }, (_, index) => start(index)))
  for (const { code } of ends) strictEqual(code, 0)
  return performance.now() - from
}

async function emptyProcess(): Promise<{ code: number | null }> {
  const child = spawn(process.execPath, ['--eval', '0'], { stdio: 'ignore' })
  const [code] = (await once(child, 'exit')) as [number | null]
  return { code }
}

/** Runs the command to its end and returns its output. */
function lockstep(root: string, ...words: string[]): string {
  const { status, stderr, stdout } = spawnSync(process.execPath, [commandPath, ...words], {
    cwd: root,
    encoding: 'utf8',
  })
  strictEqual(status, 0, `lockstep ${words.join(' ')}: ${stderr}${stdout}`)
  return stdout
}

/** Starts the command while others run, and resolves with its exit code, output and time. */
function started(root: string, ...words: string[]): Promise<{ code: number | null; ms: number; stdout: string }> {
  return new Promise((resolve, reject) => {
    const from = performance.now()
    const child = spawn(process.execPath, [commandPath, ...words], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, ms: performance.now() - from, stdout }))
  })
}

await runAsProgram({
  name: 'command',
  asks: 'how long does the command take to lock, alone and beside 39 other processes, and what takes the time?',
  run,
})
