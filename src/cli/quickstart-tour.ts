import { spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import colors from 'picocolors'
import { say, writeOut } from './output.ts'

// The helpers of the quickstart: a temporary root, commands that run in it, and checks of their output.

const lockstep = fileURLToPath(new URL(`./main${import.meta.url.slice(-3)}`, import.meta.url))

/** The folder of the tour. It is removed at the end. */
export const root = realpathSync(mkdtempSync(join(tmpdir(), 'lockstep quickstart ')))

export function title(text: string): void {
  writeOut(`\n${colors.bold(text)}\n`)
}

interface Run {
  expect?: number
  show?: (document: Record<string, unknown>) => unknown
}

/** Runs a command as a user would, checks its exit code, and prints its output. */
export function run(words: string[], { expect = 0, show }: Run = {}): Record<string, unknown> {
  writeOut(`${colors.dim('$')} lockstep ${words.map(quoted).join(' ')}\n`)
  const { status, stderr, stdout } = started([...words, '--json'])
  const document = JSON.parse(stdout || '{}') as Record<string, unknown>
  if (status !== expect) fail(`exit ${status}, expected ${expect}: ${stdout}${stderr}`)
  const chosen = show?.(document) ?? document
  writeOut(`${indent(typeof chosen === 'string' ? chosen : JSON.stringify(chosen, null, 2))}\n`)
  if (expect !== 0) writeOut(colors.dim(`  exit code ${status}\n`))
  return document
}

/** Runs a command around a line of JavaScript, checks its exit code, and prints and returns the output of both. */
export function runAround(words: string[], line: string, expect = 0): string {
  writeOut(`${colors.dim('$')} lockstep ${words.map(quoted).join(' ')} -- node -p '${line}'\n`)
  const { status, stderr, stdout } = started([...words, '--', process.execPath, '-p', line])
  if (status !== expect) fail(`exit ${status}, expected ${expect}: ${stdout}${stderr}`)
  const text = `${stdout}${stderr}`
  if (text !== '') writeOut(`${indent(text)}\n`)
  if (expect !== 0) writeOut(colors.dim(`  exit code ${status}\n`))
  return text
}

function started(words: string[]) {
  return spawnSync(process.execPath, [...process.execArgv, lockstep, '--dir', root, ...words], { encoding: 'utf8' })
}

function quoted(word: string): string {
  return /[\s|]/.test(word) ? `"${word}"` : word
}

/** Ends the tour if the condition is false. */
export function check(condition: boolean, what: string): void {
  if (!condition) fail(what)
}

function fail(what: string): never {
  say(`${colors.red('quickstart failed')}: ${what}`)
  rmSync(root, { recursive: true, force: true })
  process.exit(1)
}

export function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '  ')
}

/** Selects these members of a document. */
export function pick(...keys: string[]): (document: Record<string, unknown>) => unknown {
  return (document) => Object.fromEntries(keys.map((key) => [key, document[key]]))
}
