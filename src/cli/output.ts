import { writeSync } from 'node:fs'
import { isatty } from 'node:tty'
import picocolors from 'picocolors'
import { fileError, isOfSystem } from '../disk/durable.ts'
import { codes, LockstepError, messageOf } from '../errors.ts'
import { printable } from '../kernel/printable.ts'
import type { Globals } from './globals.ts'

/**
 * Writes the result: one JSON document with --json, otherwise lines for people. If something was recorded while the
 * time of entries is far ahead of the wall clock, the document also has `clock_ahead_s`. Each text is one line, whatever
 * characters a stranger put into it; `paint` adds colours afterwards.
 */
export function print(
  { clockAheadSeconds, json }: Globals,
  document: unknown,
  lines: () => string | string[],
  paint = (line: string) => line,
): void {
  const isMarked = clockAheadSeconds !== undefined && typeof document === 'object' && !Array.isArray(document)
  const marked = isMarked ? { ...document, clock_ahead_s: clockAheadSeconds } : document
  if (json) writeOut(`${JSON.stringify(marked)}\n`)
  else {
    const text = [lines()]
      .flat()
      .map((line) => paint(printable(line)))
      .join('\n')
    if (text !== '') writeOut(`${text}\n`)
  }
}

/** Prints a message for people on stderr, as one line. It is never part of a result. */
export function say(text: string, paint = (line: string) => line): void {
  writeAll(2, `${paint(printable(text))}\n`)
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
    say(`${problem.code}: ${problem.message}`, (line) => line.replace(problem.code, colors.red))
    for (const line of facts(problem)) say(`  ${line}`)
    if (problem.hint !== undefined) say(problem.hint, colors.dim)
  }
  if (!(error instanceof LockstepError) && error instanceof Error && process.env.LOCKSTEP_DEBUG)
    for (const line of error.stack?.split('\n') ?? []) say(line)
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

/** How times are printed for people: relative to now, or absolute, in the zone of this machine or in UTC. */
let times: 'local' | 'relative' | 'utc' = 'relative'

/** Sets how this process prints times, by its options. */
export function setTimes({ absolute, utc }: Globals): void {
  times = utc ? 'utc' : absolute ? 'local' : 'relative'
}

/** A time for people: relative to now, unless set otherwise. A time far in the future is printed in full. */
export function timeText(time: string, nowMillis = Date.now()): string {
  const millis = nowMillis - Date.parse(time)
  if (Number.isNaN(millis)) return `at ${time}`
  if (times === 'utc') return `at ${new Date(time).toISOString()}`
  if (times === 'local') return `at ${localTime(new Date(time))}`
  if (millis < -aheadMillisMax) return `at ${time}`
  const text = durationText(Math.abs(millis) / 1000)
  return millis >= 0 ? `${text} ago` : `in ${text}`
}

/** A time in the zone of this machine, with its offset: `2026-02-02 12:00:00 +01:00`. */
function localTime(time: Date): string {
  const offsetMinutes = -time.getTimezoneOffset()
  const shifted = new Date(time.getTime() + offsetMinutes * 60_000).toISOString()
  const two = (value: number) => String(Math.trunc(Math.abs(value))).padStart(2, '0')
  const offset = `${offsetMinutes < 0 ? '-' : '+'}${two(offsetMinutes / 60)}:${two(offsetMinutes % 60)}`
  return `${shifted.slice(0, 10)} ${shifted.slice(11, 19)} ${offset}`
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

/** A plain table for people, as lines. On a terminal, long cells are cut so that each row is one line. */
export async function table(head: string[], rows: string[][], columnsMax = terminalColumns()): Promise<string[]> {
  const { default: Table } = await import('cli-table3')
  const edges = ['top', 'bottom'].flatMap((edge) => [edge, ...['mid', 'left', 'right'].map((at) => `${edge}-${at}`)])
  const none = ['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid'].concat(edges).map((place) => [place, ''])
  const cells = [head, ...rows].map((row) => row.map(printable))
  const made = new Table({
    head: cells[0] ?? [],
    chars: { ...Object.fromEntries(none), middle: gap },
    colWidths: widthsWithin(cells, columnsMax),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  made.push(...cells.slice(1))
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
}

const gap = '  '

function terminalColumns(): number {
  const columns = process.stdout.columns ?? Number(process.env.COLUMNS)
  return Number.isInteger(columns) && columns > 0 ? columns : Number.POSITIVE_INFINITY
}

/** Column widths that fit: the widest column is cut first, but none below a few characters. Null keeps a width. */
function widthsWithin(cells: readonly string[][], columnsMax: number): (number | null)[] {
  const natural = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const widths = [...natural]
  const total = () => widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1))
  for (;;) {
    const widest = widths.indexOf(Math.max(...widths))
    const width = widths[widest] ?? 0
    if (total() <= columnsMax || width <= cellCharsMin) break
    widths[widest] = width - 1
  }
  return widths.map((width, column) => (width === natural[column] ? null : width))
}

const cellCharsMin = 6
