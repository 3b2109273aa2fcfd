import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { commandPath, newLedger } from './built.ts'
import { type Figure, latencies } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const entriesFull = 2_000_000
const entriesSmoke = 1_000
const callers = 1_024
const holders = 2
const leaseSeconds = 5
/** A smoke run measures nothing, and its machine may be busy. */
const leaseSecondsSmoke = 600
/** The least number of commands that run beside each read, however short the read is. */
const commandsMin = process.argv.includes('--smoke') ? 1 : 3

/**
 * Long reads, each beside two `lock run` with short leases and a stream of commands. The bench measures the longest of
 * these commands and asserts that no lease is lost.
 */
async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const root = join(folder, 'root')
  await build(root, smoke ? entriesSmoke : entriesFull)
  const held = Array.from({ length: holders }, (_, index) =>
    hold(root, `held-${index}`, smoke ? leaseSecondsSmoke : leaseSeconds),
  )
  await Promise.all(held.map(({ isHeld }) => isHeld))
  const figures: Figure[] = [await besideFigure(root, 'nothing', () => wait(smoke ? 0 : 5_000))]
  const reads: [string, string[]][] = [
    ['verify', ['verify']],
    ['an index question', ['audit', 'list', '--type', 'lock.released', '--limit', '5']],
    ['an export', exportWords(join(folder, 'bundle.tar.gz'), smoke ? 200 : 500_000)],
    ['verify --rebuild', ['verify', '--rebuild']],
  ]
  for (const [what, words] of reads) {
    figures.push(
      await besideFigure(root, what, async () => strictEqual((await ended(lockstep(root, words))).status, 0)),
    )
  }
  for (const { child, isEnded } of held) {
    strictEqual(child.exitCode, null, 'a lease was lost')
    child.kill('SIGTERM')
    deepStrictEqual((await isEnded).status, 128 + 15)
  }
  strictEqual((await ended(lockstep(root, ['verify']))).status, 0)
  return figures
}

/** Writes this many entries: one half acquires locks, and the other half releases them. */
async function build(root: string, entries: number): Promise<void> {
  const ledger = await newLedger(root, { policy: true })
  let next = 0
  const caller = async () => {
    while (ledger.counts.entries < entries) {
      next += 1
      const { lock_id } = await ledger.locks.acquire({ name: `name-${next}`, holder: 'bench', pids: [process.pid] })
      await ledger.locks.release({ lock_id })
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  await ledger.close()
}

/** A `lock run` that holds a lock until it is stopped. */
function hold(root: string, name: string, leaseSeconds: number) {
  const program = 'process.stdout.write("held"); setInterval(() => {}, 60_000)'
  const command = [process.execPath, '--eval', program]
  const child = lockstep(root, ['lock', 'run', name, '--lease', `${leaseSeconds}s`, '--', ...command])
  return { child, isEnded: ended(child), isHeld: once(child.stdout as NodeJS.ReadableStream, 'data') }
}

const exportWords = (file: string, entries: number) => [
  ...['export', 'create', '--range', `0..${entries - 1}`, '--out', file, '--reason', 'measured'],
  ...['--lane', 'release', '--role', 'operator', '--scope', 'case_id=CASE-1'],
]

/** Runs acquire and release commands, one after another, while other work runs. */
async function besideFigure(root: string, what: string, read: () => Promise<void>): Promise<Figure> {
  const millis: number[] = []
  const timed = async (words: string[]) => {
    const started = performance.now()
    const { status, stdout } = await ended(lockstep(root, [...words, '--json']))
    millis.push(performance.now() - started)
    strictEqual(status, 0, stdout)
    return JSON.parse(stdout) as { lock_id: string }
  }
  let isOver = false
  const started = performance.now()
  const reading = read().finally(() => {
    isOver = true
  })
  while (!isOver || millis.length < commandsMin) {
    const { lock_id } = await timed(['lock', 'acquire', `stream-${millis.length}-${what}`, '--holder', 'bench'])
    await timed(['lock', 'release', lock_id])
  }
  await reading
  const seconds = (performance.now() - started) / 1000
  ok(millis.length >= commandsMin)
  const { max_ms, ...others } = latencies(millis)
  const bar = { kind: 'absolute', at_most: 1_000 } as const
  return {
    what: `longest command beside ${what}`,
    value: max_ms,
    unit: 'ms',
    ...others,
    note: `${seconds.toFixed(0)} s`,
    bar,
  }
}

function lockstep(root: string, words: readonly string[]): ChildProcess {
  const argv = [commandPath, '--dir', root, '--actor', 'human:bench', ...words]
  return spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function ended(child: ChildProcess): Promise<{ status: number | null; stdout: string }> {
  let stdout = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  await once(child, 'close')
  return { status: child.exitCode, stdout }
}

const wait = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

await runAsProgram({
  name: 'beside',
  asks: 'do commands wait, or leases get lost, while two million entries are verified, searched, exported and rebuilt?',
  run,
})
