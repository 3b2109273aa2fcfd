import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type Code, type Details, LockstepError } from '../errors.ts'
import { failureOf } from './failure.ts'

/** What a child came to: the value of its work, or the error it ended with. */
export interface ChildAnswer {
  problem?: { code: Code; message: string; details: Details; hint?: string }
  value?: unknown
}

/** A child that says nothing for so long hangs; what works says how far it is ten times a second. */
const silenceSecondsMax = 120
const stderrCharsMax = 2_000

/**
 * Signals by which a process ends that touched what it must not: LevelDB does, on some damage. SIGBUS is not among them:
 * LevelDB maps its tables into memory, and the kernel sends it if the disk fails to read a page of one.
 */
const crashes = new Set<NodeJS.Signals | null>(['SIGABRT', 'SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGTRAP'])

/**
 * The file of a program of ours, named as from the module's own folder, without its extension. Built, it is one bundle
 * that opens a file at a time; modules are loaded many at once, for which there may be too few descriptors. Names begin
 * in the folder above, so that they hold in the bundled command too, which is in a folder beside.
 */
export function programBeside(moduleUrl: string, name: string): string {
  const [bundle, module] = ['.cjs', moduleUrl.slice(-3)].map((extension) =>
    fileURLToPath(new URL(`${name}${extension}`, moduleUrl)),
  ) as [string, string]
  return existsSync(bundle) ? bundle : module
}

/** A child without the pipes that there were no descriptors for. */
type Spawned = Omit<ChildProcess, 'stdout' | 'stderr'> & { stdout?: Readable | null; stderr?: Readable | null }

/**
 * Runs a program of ours in a process of its own and takes the JSON line it ends with (`child-answer.ts`). A child
 * that crashes is LEDGER_CORRUPT, for LevelDB aborts on some damage; one that hangs, or that somebody ended, is
 * LEDGER_UNAVAILABLE, and so is one out of memory or one that cannot be started.
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
    // Without descriptors for its pipes there are none, and the error comes in a moment.
    const { stderr: errors, stdout } = child
    if (!stdout || !errors) {
      child.on('error', failed)
      return
    }
    let text = ''
    let stderr = ''
    let hangs = false
    // Counted in seconds that this process ran, so that a machine that slept does not count as a child that hangs.
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

/** What a child ended with, as the error it was there. */
export function problemError({ code, details, hint, message }: NonNullable<ChildAnswer['problem']>): LockstepError {
  return new LockstepError(code, message, { details, ...(hint === undefined ? {} : { hint }) })
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
    const message = `reading the database ended the process that read it (${how})`
    return { code: 'LEDGER_CORRUPT', message, details: { check: 'bytes', ...details } }
  }
  return {
    code: 'LEDGER_UNAVAILABLE',
    message: `the process that read the database did not end its work (${how})`,
    details: { outcome: 'not_applied', ...details },
  }
}

/**
 * From source the child needs what reads TypeScript; compiled it needs nothing. Nothing else of our own arguments is
 * for it: with `node -e`, the child would run that program instead, and again, and again.
 */
function loaderArguments(program: string): string[] {
  if (!program.endsWith('.ts')) return []
  return process.execArgv.flatMap((argument, index, all) => {
    if (argument === '--import') return [argument, all[index + 1] ?? '']
    return argument.startsWith('--import=') ? [argument] : []
  })
}
