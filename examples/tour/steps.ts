import { spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import colors from 'picocolors'

// What the steps of the tour share: its folder, commands that run in it, and checks of their output.

const lockstep = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const { verbose = false } = parseArgs({ options: { verbose: { type: 'boolean' } } }).values

/** The most lines that the tour prints without `--verbose`. */
const linesMax = 80
let lines = 0

/** The folder of the tour. It is left for the reader. */
export const root = realpathSync(mkdtempSync(join(tmpdir(), 'lockstep tour ')))

export function title(text: string): void {
  print(`\n${colors.bold(text)}`)
}

interface Run {
  expect?: number
  /** Also shown without `--verbose`. */
  isKey?: boolean
  show?: (document: Record<string, unknown>) => unknown
}

/** Runs a command as a user would, and checks its exit code. With `--verbose` it prints the output. */
export function run(words: string[], { expect = 0, isKey = false, show }: Run = {}): Record<string, unknown> {
  printCommand(words, isKey)
  const { status, stderr, stdout } = started([...words, '--json'])
  const document = JSON.parse(stdout || '{}') as Record<string, unknown>
  if (status !== expect) fail(`exit ${status}, expected ${expect}: ${stdout}${stderr}`)
  const chosen = show?.(document) ?? document
  detail(indent(typeof chosen === 'string' ? chosen : JSON.stringify(chosen, null, 2)))
  if (expect !== 0) detail(colors.dim(`  exit code ${status}`))
  return document
}

/** Runs a command around a line of JavaScript, checks its exit code, and returns the output of both. */
export function runAround(words: string[], line: string, expect = 0): string {
  printCommand([...words, '--', 'node', '-p', `'${line}'`], true)
  const { status, stderr, stdout } = started([...words, '--', process.execPath, '-p', line])
  if (status !== expect) fail(`exit ${status}, expected ${expect}: ${stdout}${stderr}`)
  const text = `${stdout}${stderr}`
  if (text !== '') detail(indent(text))
  if (expect !== 0) detail(colors.dim(`  exit code ${status}`))
  return text
}

function started(words: string[]) {
  return spawnSync(process.execPath, [lockstep, '--dir', root, ...words], { encoding: 'utf8' })
}

function printCommand(words: string[], isKey: boolean): void {
  const command = words.map((word) => quoted(word.replace(`${root}/`, ''))).join(' ')
  if (isKey || verbose) print(`${colors.dim('$')} lockstep ${command}`)
}

function quoted(word: string): string {
  return /[\s|]/.test(word) && !word.startsWith("'") ? `"${word}"` : word
}

/** Prints what the step has shown, or ends the tour with exit code 1. */
export function check(condition: boolean, what: string): void {
  if (!condition) fail(what)
  print(`  ${colors.green('✓')} ${what}`)
}

function fail(what: string): never {
  process.stderr.write(`${colors.red('the tour failed')}: ${what}\nits folder: ${root}\n`)
  process.exit(1)
}

/** Prints something that is only of interest with `--verbose`. */
export function detail(text: string): void {
  if (verbose) print(text)
}

export function print(text: string): void {
  lines += text.split('\n').length
  process.stdout.write(`${text}\n`)
}

/** Fails if the short tour has become too long to read. */
export function assertShort(): void {
  if (!verbose && lines > linesMax) fail(`it printed ${lines} lines, at most ${linesMax} are meant`)
}

export function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '  ')
}

/** Selects these members of a document. */
export function pick(...keys: string[]): (document: Record<string, unknown>) => unknown {
  return (document) => Object.fromEntries(keys.map((key) => [key, document[key]]))
}
