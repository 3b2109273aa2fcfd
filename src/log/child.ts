import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { type Code, type Details, LockstepError } from '../errors.ts'
import { fileError } from '../fs/durable.ts'

/** What a child came to: the value of its work, or the error it ended with. */
export interface ChildAnswer {
  problem?: { code: Code; message: string; details: Details; hint?: string }
  value?: unknown
}

/** A child that says nothing for so long hangs; what works says how far it is ten times a second. */
const silenceSecondsMax = 120
const stderrCharsMax = 2_000

/** Signals by which a process ends that touched what it must not: LevelDB does, on some damage. */
const crashes = new Set<NodeJS.Signals | null>(['SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGILL', 'SIGSEGV', 'SIGTRAP'])

/**
 * Runs a program of ours in a process of its own and takes the JSON line it ends with (`child-answer.ts`). A child
 * that crashes is LEDGER_CORRUPT, for LevelDB aborts on some damage; one that hangs, or that somebody ended, is
 * LEDGER_UNAVAILABLE, and so is one out of memory.
 */
export function runChild(
  program: string,
  programArguments: string[],
  { onLine, waitSeconds = 0 }: { onLine?: (line: string) => void; waitSeconds?: number } = {},
): Promise<ChildAnswer> {
  return new Promise((resolve, reject) => {
    const words = [...loaderArguments(program), program, ...programArguments]
    let child: ChildProcessByStdio<null, Readable, Readable>
    try {
      child = spawn(process.execPath, words, { cwd: dirname(program), stdio: ['ignore', 'pipe', 'pipe'] })
    } catch (error) {
      reject(fileError(error, 'starting a process that reads the database'))
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
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = (stderr + chunk).slice(-stderrCharsMax)
    })
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
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
      reject(fileError(error, 'starting a process that reads the database'))
    })
    child.on('close', (status, signal) => {
      clearInterval(silence)
      if (text.startsWith('answer ')) return resolve(JSON.parse(text.slice('answer '.length)) as ChildAnswer)
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
    details,
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
