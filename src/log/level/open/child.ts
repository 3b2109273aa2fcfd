import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { inCode } from '../../../disk/package-folder.ts'
import { type Code, type Details, LockstepError } from '../../../errors.ts'
import { failureOf } from '../../failure.ts'

/** The result of a child process: the value it produced, or the error it ended with. */
export interface ChildAnswer {
  problem?: { code: Code; message: string; details: Details; hint?: string }
  value?: unknown
}

/**
 * A child that prints nothing for this long counts as hung. A working child reports its progress ten times a second.
 */
const silenceSecondsMax = 120
const stderrCharsMax = 2_000

/**
/**
 * Signals that end a process after invalid memory access or an abort. Some kinds of damage make LevelDB crash this way.
 * SIGBUS is not among them: LevelDB maps its tables into memory, and the kernel sends SIGBUS if the disk cannot read a
 * page.
 */
const crashes = new Set<NodeJS.Signals | null>(['SIGABRT', 'SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGTRAP'])

/**
 * The path of one of our programs, named by its path from the root of the code, without its extension. In the build,
 * each program is a single bundle, because loading many modules at once may need more file descriptors than there are.
 */
export function programAt(path: string): string {
  const bundle = `${inCode(path)}.cjs`
  return existsSync(bundle) ? bundle : `${inCode(path)}${import.meta.url.slice(-3)}`
}

/** A child process whose pipes may be missing because no file descriptors were left. */
type Spawned = Omit<ChildProcess, 'stdout' | 'stderr'> & { stdout?: Readable | null; stderr?: Readable | null }

/**
 * Runs one of our programs in its own process and parses the JSON line that it prints last (`child-answer.ts`). A crash
 * of the child gives LEDGER_CORRUPT, because LevelDB aborts on some kinds of damage. LEDGER_UNAVAILABLE means that the
 * child hung, was killed, ran out of memory or could not be started.
 */
export function runChild(
  program: string,
  programArguments: string[],
  { onLine, waitSeconds = 0 }: { onLine?: (line: string) => void; waitSeconds?: number } = {},
): Promise<ChildAnswer> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown) => reject(failureOf('starting a process that reads the database', error))
    const words = [...loaderArguments(program), program, ...programArguments]
    let child: Spawned
    try {
      child = spawn(process.execPath, words, { cwd: dirname(program), stdio: ['ignore', 'pipe', 'pipe'] })
    } catch (error) {
      failed(error)
      return
    }
    // Without file descriptors for the pipes, both streams are missing. The error event follows shortly.
    const { stderr: errors, stdout } = child
    if (!stdout || !errors) {
      child.on('error', failed)
      return
    }
    let text = ''
    let stderr = ''
    let hangs = false
    // Counts only seconds in which this process ran. A machine that was asleep must not make the child look hung.
    let silentSeconds = 0
    const silence = setInterval(() => {
      silentSeconds += 1
      hangs = silentSeconds > silenceSecondsMax + waitSeconds
      if (hangs) child.kill('SIGKILL')
    }, 1_000)
    let unread: Error | undefined
    for (const pipe of [errors, stdout]) {
      pipe.on('error', (error: Error) => {
        unread = error
        child.kill('SIGKILL')
      })
    }
    errors.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-stderrCharsMax)
    })
    stdout.setEncoding('utf8').on('data', (chunk: string) => {
      silentSeconds = 0
      text += chunk
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines) {
        if (line.startsWith('answer ')) text = `${line}\n`
        else onLine?.(line)
      }
    })
    child.on('error', (error) => {
      clearInterval(silence)
      failed(error)
    })
    child.on('close', (status, signal) => {
      clearInterval(silence)
      if (text.startsWith('answer ')) return resolve(JSON.parse(text.slice('answer '.length)) as ChildAnswer)
      if (unread !== undefined) return failed(unread)
      resolve({ problem: problemOf({ hangs, signal, status, stderr }) })
    })
  })
}

/** Turns the problem that a child reported back into the error that the child threw. */
export function problemError({ code, details, hint, message }: NonNullable<ChildAnswer['problem']>): LockstepError {
  return new LockstepError(code, message, { details, hint })
}

interface Death {
  hangs: boolean
  signal: NodeJS.Signals | null
  status: number | null
  stderr: string
}

function problemOf({ hangs, signal, status, stderr }: Death): NonNullable<ChildAnswer['problem']> {
  const details = { signal, exit_code: status, stderr: stderr.trim() }
  const how = hangs ? `no progress in ${silenceSecondsMax} s` : (signal ?? `exit ${status}`)
  if (crashes.has(signal) && !/out of memory/i.test(stderr)) {
    const message = `the process that read the database crashed (${how})`
    return { code: 'LEDGER_CORRUPT', message, details: { check: 'bytes', ...details } }
  }
  return {
    code: 'LEDGER_UNAVAILABLE',
    message: `the process that read the database did not finish (${how})`,
    details: { outcome: 'not_applied', ...details },
  }
}

/**
 * When running from source, the child needs the TypeScript loader; a build needs nothing. No other argument of this
 * process is passed on. With `node -e`, for example, the child would run that program instead of ours, endlessly.
 */
function loaderArguments(program: string): string[] {
  if (!program.endsWith('.ts')) return []
  return process.execArgv.flatMap((argument, index, all) => {
    if (argument === '--import') return [argument, all[index + 1] ?? '']
    return argument.startsWith('--import=') ? [argument] : []
  })
}
