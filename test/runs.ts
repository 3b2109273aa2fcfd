/**
 * The entry of `npm run test:runs`: runs `npm test` several times at the current commit, every second time beside four
 * endless loops, and appends the result of each run to a file. A run that the file already has is not repeated, so
 * what was interrupted goes on where it stopped.
 *
 *   node --import tsx test/runs.ts [--runs N] [--results FILE]
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Load, loadOf, type Run, resultIn, tableOf } from './recorded-runs.ts'

const loopCount = 4
/** A busy loop that ends by itself once its parent has, even where the parent was killed. */
const loop = 'while kill -0 $0 2>/dev/null; do i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; done'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '20' },
    results: { type: 'string', default: join(tmpdir(), 'lockstep-test-runs.jsonl') },
  },
})
const wanted = Number(values.runs)
if (!Number.isSafeInteger(wanted) || wanted < 1) fail(`--runs needs a whole number above 0, not '${values.runs}'`)
const results = values.results

const started = new Set<ChildProcess>()
process.once('exit', endAll)
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => process.exit(128 + constants.signals[name]))
}

const commit = commitOfCleanTree()
lockResults()
// Built once: a build while a run is under way would change files that its tests start.
if (runsSoFar().length < wanted) build()
while (runsSoFar().length < wanted) {
  const number = runsSoFar().length + 1
  const run = await oneRun(loadOf(number))
  if (commitOfCleanTree() !== commit) fail('the commit changed during a run; the run was not recorded')
  appendFileSync(results, `${JSON.stringify(run)}\n`)
  console.log(`run ${number} of ${wanted}, ${run.load}: ${run.passed} passed, ${run.failed} failed, ${run.seconds} s`)
  for (const failure of run.failures) console.log(`  ${failure}`)
}
console.log(`\n${tableOf(runsSoFar())}`)
process.exitCode = runsSoFar().every(({ failed }) => failed === 0) ? 0 : 1

function build(): void {
  if (spawnSync('npm', ['run', '--silent', 'build'], { stdio: 'inherit' }).status !== 0) fail('the build failed')
}

/** One run of the tests. The output of a run that failed is kept beside the results. */
async function oneRun(load: Load): Promise<Run> {
  const startedMillis = performance.now()
  const loops = load === 'loaded' ? Array.from({ length: loopCount }, startLoop) : []
  const child = keep(spawn('npm', ['test', '--ignore-scripts'], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] }))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  await once(child, 'close')
  for (const each of loops) end(each)
  started.delete(child)
  const result = resultIn(output)
  if (result.failed > 0) writeFileSync(`${results}.${commit.slice(0, 9)}-${Date.now()}.log`, output)
  const seconds = Math.round((performance.now() - startedMillis) / 1000)
  return { commit, date: new Date().toISOString(), load, seconds, ...result }
}

function startLoop(): ChildProcess {
  return keep(spawn('sh', ['-c', loop, String(process.pid)], { detached: true, stdio: 'ignore' }))
}

/** The runs at this commit that the file has. */
function runsSoFar(): Run[] {
  if (!existsSync(results)) return []
  const lines = readFileSync(results, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Run).filter((run) => run.commit === commit)
}

function commitOfCleanTree(): string {
  const git = (...words: string[]) => spawnSync('git', words, { encoding: 'utf8' })
  const status = git('status', '--porcelain')
  if (status.status !== 0) fail(`git status failed: ${status.stderr}`)
  if (status.stdout !== '') fail(`the tree has changes that are not committed:\n${status.stdout}`)
  return git('rev-parse', 'HEAD').stdout.trim()
}

/** Keeps a second recorder from the same results; a lock file whose process has ended is replaced. */
function lockResults(): void {
  const lock = `${results}.pid`
  const pid = existsSync(lock) ? Number(readFileSync(lock, 'utf8')) : 0
  if (pid > 0 && existsSync(`/proc/${pid}`)) fail(`process ${pid} is recording runs in ${results}`)
  writeFileSync(lock, String(process.pid))
  process.once('exit', () => rmSync(lock, { force: true }))
}

function keep(child: ChildProcess): ChildProcess {
  started.add(child)
  return child
}

function endAll(): void {
  for (const child of started) end(child)
}

/** Ends a process with its group. npm passes a TERM on to the tests, which end all that they started. */
function end(child: ChildProcess): void {
  started.delete(child)
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGTERM')
  } catch {
    // It has ended.
  }
}

function fail(reason: string): never {
  console.error(reason)
  process.exit(2)
}
