/**
 * The entry of `npm run bench`: runs every bench, or those whose name contains one of the words, each in a separate
 * process, and keeps the figures in bench/results/latest.json.
 *
 *   node --import tsx bench/run.ts [--check] [--docs] [--smoke] [--results FILE] [word…]
 *
 * --check exits with 1 if a ratio is below its bar. --docs writes the figures into docs/reference/benchmarks.md.
 * --smoke runs each bench as small as possible and without bars.
 */
import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Figure, lineOf, meets } from './figures.ts'
import { benchFolder, machineLines, thisMachine } from './machine.ts'
import { type Results, writeFigures } from './page.ts'

const names = [
  'acquire-release',
  'audit-append',
  'beside',
  'command',
  'hooks',
  'million',
  'paths',
  'policy-replay',
  'postgres',
  'postgres-append',
  'promote',
  'runs',
  'runs-million',
  'service',
  'service-long',
  'staging',
]
const here = dirname(fileURLToPath(import.meta.url))
/** The extension of the sources, or of their compiled form in tests. */
const extension = extname(import.meta.url)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    check: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    results: { type: 'string' },
    smoke: { type: 'boolean', default: false },
  },
})
const chosen = names.filter((name) => positionals.length === 0 || positionals.some((word) => name.includes(word)))
if (chosen.length === 0) fail(2, `no bench has one of these words in its name: ${positionals.join(', ')}`)
// A smoke run uses the existing build, like the tests.
if (!values.smoke) build()

const machine = thisMachine(benchFolder())
console.log(machineLines(machine))
const path = values.results ?? (values.smoke ? undefined : join(here, 'results', 'latest.json'))
const results: Results = path === undefined ? {} : readResults(path)
// Benches run one after another, so that they do not disturb each other. Smoke runs measure nothing and run in
// parallel.
if (values.smoke) await Promise.all(chosen.map(run))
else for (const name of chosen) await run(name)
if (values.docs) writeFigures(join(here, '..', 'docs', 'reference', 'benchmarks.md'), results)

const missed = chosen.flatMap((name) => results[name]?.figures ?? []).filter((figure) => !meets(figure))
if (missed.length > 0) console.log(`\nbelow their bars:\n${missed.map(lineOf).join('\n')}`)
if (values.check && missed.some(({ bar }) => bar?.kind === 'ratio')) process.exitCode = 1

/** Runs one bench in a separate process, so that benches do not affect each other. */
async function run(name: string): Promise<void> {
  const words = values.smoke ? ['--smoke'] : []
  const child = fork(join(here, `${name}${extension}`), words, {
    execArgv: extension === '.ts' ? ['--import', 'tsx'] : [],
  })
  let figures: Figure[] | undefined
  child.once('message', (message) => {
    figures = message as Figure[]
  })
  const [code] = await once(child, 'exit')
  if (code !== 0 || figures === undefined) fail(1, `the bench ${name} failed`)
  const command = ['npm run bench --', name, ...words].join(' ')
  results[name] = { command, figures, machine, time: new Date().toISOString() }
  if (path !== undefined) keep(path)
}

/** Results are written after each bench, so that a later failure does not lose them. */
function keep(file: string): void {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
}

function build(): void {
  const { status } = spawnSync('npm', ['run', '--silent', 'build'], { cwd: dirname(here), stdio: 'inherit' })
  if (status !== 0) fail(1, 'the build failed')
}

function readResults(file: string): Results {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Results
  } catch {
    return {}
  }
}

function fail(code: number, reason: string): never {
  console.error(reason)
  process.exit(code)
}
