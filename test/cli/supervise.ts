import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Entry } from '../../src/kernel/entry.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { type ListedProcess, listProc, listPs } from '../../src/supervise/process-list.ts'
import type { Survivors } from '../../src/supervise/runner.ts'
import { root as projectRoot } from '../runner.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const fixtures = join(projectRoot, 'fixtures/supervise')
/** A command that says `ready` and its pid, and then every signal it gets. USR2 ends it. */
export const tellsSignals = [process.execPath, join(fixtures, 'tells-signals.mjs')]
const pollMillis = 20
const seldomMillis = 300
const limitMillis = 20_000

/** Options of a wrapper; by default it runs under the lock of `reports`. */
export interface Options {
  /** How long closing the ledger takes. */
  close_after_ms?: number
  graceMillis?: number
  lease_duration_s?: number
  lock_id?: string
  lose_answers?: number
  open_wait_s?: number
  request?: { name: string } | { folder: string }
  survivors?: Survivors
  wait_s?: number
}

/** A wrapper under test, as a real process: what it printed so far and how it ends. */
export interface Run {
  process: ChildProcess
  pid: number
  out: () => string
  err: () => string
  exit: Promise<number | NodeJS.Signals>
}

const started: Run[] = []
// Nothing that a failed test left behind outlives this file.
process.once('exit', () => {
  for (const { process: wrapper } of started) wrapper.kill('SIGKILL')
})

/** What makes Node such a wrapper. */
export function driverArguments(dir: string, command: string[], options: Options): string[] {
  const all = { dir, command, request: { name: 'reports' }, holder: 'TASK', ...options }
  return [compiled('fixtures/supervise/driver.ts'), JSON.stringify(all)]
}

/** Starts a wrapper that runs a command under a lock, without a terminal, whatever the tests are run from. */
export function run(dir: string, command: string[], options: Options = {}, env: NodeJS.ProcessEnv = {}): Run {
  return watch(
    spawn(process.execPath, driverArguments(dir, command, options), {
      cwd: projectRoot,
      detached: true,
      env: { ...process.env, ...env },
    }),
  )
}

/** Collects what a process prints and how it ends. */
export function watch(wrapper: ChildProcess): Run {
  let out = ''
  let err = ''
  wrapper.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  wrapper.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const exit = new Promise<number | NodeJS.Signals>((resolve) => {
    wrapper.once('exit', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'))
  })
  const made = { process: wrapper, pid: wrapper.pid ?? 0, out: () => out, err: () => err, exit }
  started.push(made)
  return made
}

/** Waits for a condition, within a limit. */
export async function until<T>(what: string, look: () => T | Promise<T>, pause = pollMillis): Promise<NonNullable<T>> {
  const end = performance.now() + limitMillis
  for (;;) {
    const found = await look()
    if (found) return found
    if (performance.now() > end) throw new Error(`waited too long: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

/** The first number that a run has printed after a word. */
export function pidAfter(of: Run, word: string): Promise<number> {
  return until(`${word} of a run that printed ${of.out()}${of.err()}`, () =>
    Number(new RegExp(`${word} (\\d+)\n`).exec(of.out())?.[1] ?? 0),
  )
}

/** The problem document that a wrapper ended with. */
export function refusalOf(of: Run): { code: string; [fact: string]: unknown } {
  return JSON.parse(/^refused (.*)$/m.exec(of.err())?.[1] ?? '{"code":"none"}')
}

/** All processes that are not dead. */
export async function list(): Promise<ListedProcess[]> {
  return process.platform === 'linux' ? listProc() : listPs()
}

/** Whether a process is there and no zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  return (await list()).some((listed) => listed.pid === pid)
}

/** Waits for the end of a process. */
export const isGone = (pid: number) => until(`the end of ${pid}`, async () => !(await isAlive(pid)))

/** The child of a wrapper, at its gate or beyond, which has its guard beside it since before. */
export async function childOf({ pid }: Run): Promise<number> {
  const [, child = 0] = await until(`a guard and a child of ${pid}`, async () => {
    const children = (await list()).filter(({ parent, group, pid: own }) => parent === pid && group === own)
    return children.length === 2 ? children.map((one) => one.pid).sort((left, right) => left - right) : undefined
  })
  return child
}

/** Opens a ledger for the time of the work. */
export async function withOpen<T>(dir: string, work: (ledger: LocalLedger) => Promise<T> | T): Promise<T> {
  const ledger = await openLedger({ dir, actor: testActor })
  try {
    return await work(ledger)
  } finally {
    await ledger.close()
  }
}

/** How a lock stands. */
export const statusOf = (dir: string, name = 'resource:reports') =>
  withOpen(dir, (ledger) => ledger.locks.status({ name }))
/** Waits for renewals; seldom enough that the wrapper finds the ledger free. */
export const untilRenewed = (dir: string, times: number) =>
  until(`${times} renewals`, async () => ((await statusOf(dir)).renewals ?? 0) >= times, seldomMillis)

/** The entries of a lock, oldest first. */
export const historyOf = (dir: string, name = 'resource:reports'): Promise<Entry[]> =>
  withOpen(dir, async (ledger) => (await ledger.locks.history({ name })).entries.reverse())
/** Types of entries without the renewals, whose number is a matter of time. */
export const typesIn = (entries: Entry[]) => entries.map(({ type }) => type).filter((type) => type !== 'lock.renewed')

/** A ledger in a folder of its own for the time of a test; at the end it is verified. */
export async function withRoot(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = temporaryRoot()
  await (await openLedger({ dir, actor: testActor, create: true, policy: false })).close()
  await work(dir)
  await endsWithVerify(dir)
}
