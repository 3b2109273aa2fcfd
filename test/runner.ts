import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'

/** The project's root; test files run in it and are named relative to it. */
export const root = process.env.LOCKSTEP_TEST_ROOT ?? fileURLToPath(new URL('..', import.meta.url))

/** The tree of compiled files in which a run goes on; a file that is started by hand has none. */
export const compiledTree = process.env.LOCKSTEP_TEST_TREE

const outputCharsMax = 1_000_000
const pipeGraceMs = 1_000

export interface RunOptions {
  /** Time limit of a file that does not raise its own by a first line `// limit: SECONDS`. */
  limitMs: number
  /** The compiled tree (`compileTree`); files that are not in it run by tsx. */
  tree?: string | undefined
  /** Aborting kills the running file with everything it started. */
  signal?: AbortSignal
}

/** What one test file came to; `problem` is undefined only where every test ran and passed. */
export interface FileResult {
  file: string
  passed: number
  failed: number
  durationMs: number
  problem: string | undefined
  output: string
}

/** How the process of a test file ended, and all it printed. */
export interface Ending {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  /** The limit that the process was killed at, if it was. */
  killedAtMs?: number
}

/**
 * All `*.test.ts` files below a folder, by their path from the root, in a fixed order: those that raise their own time
 * limit take the longest and come first, so that at the end no long one is left to run alone.
 */
export function findTests(dir: string): string[] {
  const limits = new Map<string, number>()
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()) {
    if (name.endsWith('.test.ts')) limits.set(relative(root, join(dir, name)), limitOf(join(dir, name)))
  }
  return [...limits].sort(([, one], [, other]) => other - one).map(([file]) => file)
}

function limitOf(path: string): number {
  return limitInFileMs(readFileSync(path, 'utf8'))
}

/** The files whose path contains one of the patterns (all without any), and the patterns that chose none. */
export function choose(files: string[], patterns: string[]): { chosen: string[]; unmatched: string[] } {
  if (patterns.length === 0) return { chosen: files, unmatched: [] }
  return {
    chosen: files.filter((file) => patterns.some((pattern) => file.includes(pattern))),
    unmatched: patterns.filter((pattern) => !files.some((file) => file.includes(pattern))),
  }
}

/** Runs the files, `jobs` of them at a time, and reports each as it ends. */
export async function runFiles(
  files: string[],
  { jobs, report, ...options }: RunOptions & { jobs: number; report: (result: FileResult) => void },
): Promise<void> {
  const queue = files.values()
  const worker = async () => {
    for (const file of queue) report(await runFile(file, options))
  }
  await Promise.all(Array.from({ length: jobs }, worker))
}

/** Runs one test file in a process group of its own, of which nothing is left when this resolves. */
export async function runFile(file: string, { limitMs, signal, tree = compiledTree }: RunOptions): Promise<FileResult> {
  const ownLimitMs = Math.max(limitMs, limitOf(join(root, file)))
  const startedMs = performance.now()
  const compiled = join(tree ?? '', file.replace(/\.ts$/, '.js'))
  const isCompiled = tree !== undefined && existsSync(compiled)
  const words = isCompiled ? ['--enable-source-maps', compiled] : ['--import', 'tsx', file]
  const child = spawn(process.execPath, words, {
    cwd: root,
    env: { ...process.env, ...(isCompiled ? { LOCKSTEP_TEST_ROOT: root, LOCKSTEP_TEST_TREE: tree } : {}) },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-outputCharsMax)
    output = (output + text).slice(-outputCharsMax)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-outputCharsMax)
  })

  let killedAtMs: number | undefined
  const timer = setTimeout(() => {
    killedAtMs = ownLimitMs
    killGroup(child)
  }, ownLimitMs)
  const onAbort = () => killGroup(child)
  signal?.addEventListener('abort', onAbort)
  child.once('exit', () => {
    clearTimeout(timer)
    // What the file left running would keep the pipes open; what left the group as well loses them.
    killGroup(child)
    setTimeout(() => {
      child.stdout.destroy()
      child.stderr.destroy()
    }, pipeGraceMs).unref()
  })
  await once(child, 'close')
  signal?.removeEventListener('abort', onAbort)

  const ending: Ending = { code: child.exitCode, signal: child.signalCode, stdout }
  const verdict = judge(killedAtMs === undefined ? ending : { ...ending, killedAtMs })
  return { file, ...verdict, durationMs: performance.now() - startedMs, output }
}

/**
 * Counts the tests of a file and says what is wrong with it. uvu alone is not believed: it exits with 0 when
 * a file forgets `.run()`, when its setup throws and when `.only` or `.skip` left tests out. A file that is
 * wrong without a failing test to count counts as one failed test.
 */
export function judge(ending: Ending): Pick<FileResult, 'passed' | 'failed' | 'problem'> {
  const closings = closingsIn(ending.stdout)
  const closing = closings[0] ?? { total: 0, passed: 0, skipped: 0 }
  const problem = problemOf(ending, closings)
  const missing = closing.total - closing.passed
  return { passed: closing.passed, failed: problem === undefined ? 0 : Math.max(1, missing), problem }
}

interface Closing {
  total: number
  passed: number
  skipped: number
}

const closingPattern = /^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)$/gm

/** The closing lines that uvu printed: one set, unless the file ended too early or called `.run()` too late. */
function closingsIn(stdout: string): Closing[] {
  return [...stripVTControlCharacters(stdout).matchAll(closingPattern)].map(([, total, passed, skipped]) => ({
    total: Number(total),
    passed: Number(passed),
    skipped: Number(skipped),
  }))
}

function problemOf({ code, signal, killedAtMs }: Ending, closings: Closing[]): string | undefined {
  const [closing, ...more] = closings
  if (killedAtMs !== undefined) {
    const limit = `within its limit of ${killedAtMs / 1000} s`
    return closing === undefined
      ? `its tests did not end ${limit}`
      : `its tests ended, but its process did not ${limit}: a timer, server or child process was left open`
  }
  if (signal !== null) return `it was killed by ${signal}`
  if (closing === undefined) return `it exited with ${code} before its tests had ended, or forgot .run()`
  if (more.length > 0) return 'its tests ran in several rounds: a .run() came after the first had begun'
  if (closing.total === 0) return 'it has no tests'
  if (closing.passed < closing.total) return `${closing.total - closing.passed} of ${closing.total} did not pass`
  if (closing.skipped > 0) return `${closing.skipped} skipped, by .skip or .only`
  if (code !== 0) return `its tests passed, but it exited with ${code}`
  return undefined
}

/** The limit that a file sets itself in its first line, or 0. */
function limitInFileMs(source: string): number {
  return Number(/^\/\/ limit: (\d+)\r?\n/.exec(source)?.[1] ?? 0) * 1000
}

/** Kills the process and all it started, save what made itself a group of its own. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nobody is left in the group.
  }
}
