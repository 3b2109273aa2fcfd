import { writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import picocolors from 'picocolors'
import { fileError, isOfSystem } from '../disk/durable.ts'
import { codes, LockstepError, messageOf } from '../errors.ts'
import type { Globals } from './globals.ts'

/**
 * Writes the result: one JSON document with --json, otherwise lines for people. If something was recorded while the
 * time of entries is far ahead of the wall clock, the document also has `clock_ahead_s`.
 */
export function print({ clockAheadSeconds, json }: Globals, document: unknown, lines: () => string | string[]): void {
  const isMarked = clockAheadSeconds !== undefined && typeof document === 'object' && !Array.isArray(document)
  const marked = isMarked ? { ...document, clock_ahead_s: clockAheadSeconds } : document
  if (json) writeOut(`${JSON.stringify(marked)}\n`)
  else {
    const text = [lines()].flat().join('\n')
    if (text !== '') writeOut(`${text}\n`)
  }
}

/** Prints a message for people on stderr. It is never part of a result. */
export function say(text: string): void {
  writeAll(2, `${text}\n`)
}

/**
 * Writes a whole text to stdout before it returns, even to a pipe. A closed pipe is not an error. Errors: those of file
 * writes, such as DISK_FULL, if stdout is a file.
 */
export function writeOut(text: string): void {
  writeAll(1, text)
}

function writeAll(descriptor: 1 | 2, text: string): void {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : ''
      // A full non-blocking pipe needs a moment for its reader.
      if (code === 'EAGAIN') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
      // A failed message on stderr is ignored, because it must not end the work. A closed stdout ends the command.
      else if (descriptor === 2) return
      else if (code === 'EPIPE') process.exit(0)
      else throw fileError(error, 'writing the answer to stdout')
    }
  }
}

/**
 * The colours for a terminal, unless NO_COLOR turns them off. A file or a pipe gets no colours. (By default, picocolors
 * checks stdout also for stderr, and uses colours always under CI.)
 */
export function coloursOn(descriptor: 1 | 2): ReturnType<typeof picocolors.createColors> {
  const { NO_COLOR = '', TERM } = process.env
  return picocolors.createColors(isatty(descriptor) && NO_COLOR === '' && TERM !== 'dumb')
}

/** Reports an error, as a problem document with --json, and returns the exit code. */
export function report(globals: Globals, error: unknown): number {
  const problem = problemOf(error)
  if (!globals.json || !isWritten(`${JSON.stringify(problem)}\n`)) {
    const colors = coloursOn(2)
    say(`${colors.red(problem.code)}: ${problem.message}`)
    for (const line of facts(problem)) say(`  ${line}`)
    if (problem.hint !== undefined) say(colors.dim(problem.hint))
  }
  if (!(error instanceof LockstepError) && error instanceof Error && process.env.LOCKSTEP_DEBUG) say(error.stack ?? '')
  return codes[problem.code].exit
}

function problemOf(error: unknown): LockstepError {
  if (error instanceof LockstepError) return error
  if (isOfSystem(error)) return fileError(error, 'running the command')
  return new LockstepError('INVARIANT_VIOLATED', messageOf(error), { cause: error })
}

/** Writes to stdout. False if that fails, so that the error goes to stderr instead. */
function isWritten(text: string): boolean {
  try {
    writeOut(text)
    return true
  } catch {
    return false
  }
}

function facts({ details }: LockstepError): string[] {
  const shown = Object.entries(details).filter(
    ([key, value]) => key !== 'issues' && value !== null && typeof value !== 'object',
  )
  return shown.map(([key, value]) => `${key}: ${value}`)
}

/** A time relative to now, for people. A time far in the future, as from a wrong clock, is printed in full. */
export function relativeTime(time: string, nowMillis = Date.now()): string {
  const millis = nowMillis - Date.parse(time)
  if (millis < -aheadMillisMax) return `at ${time}`
  const text = durationText(Math.abs(millis) / 1000)
  return millis >= 0 ? `${text} ago` : `in ${text}`
}

/** No lease is longer than this. */
const aheadMillisMax = 86_400_000

/** A duration in its two largest units. */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 === 0 ? '' : ` ${whole % 60} s`}`
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`
}

/** A plain table for people. */
export async function table(head: string[], rows: string[][]): Promise<string> {
  const { default: Table } = await import('cli-table3')
  const none = {
    top: '',
    'top-mid': '',
    'top-left': '',
    'top-right': '',
    bottom: '',
    'bottom-mid': '',
    'bottom-left': '',
    'bottom-right': '',
  }
  const inner = { left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' }
  const made = new Table({
    head,
    chars: { ...none, ...inner },
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  made.push(...rows)
  return made.toString()
}
