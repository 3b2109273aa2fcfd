import { spawnSync } from 'node:child_process'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import colors from 'picocolors'
import { say, writeOut } from './output.ts'

// What the steps of the quickstart are made of: a root of their own, commands in it, and checks of what they say.

const lockstep = fileURLToPath(new URL(`./main${import.meta.url.slice(-3)}`, import.meta.url))

/** The folder that the tour works in, removed at its end. */
export const root = realpathSync(mkdtempSync(join(tmpdir(), 'lockstep quickstart ')))

export function title(text: string): void {
  writeOut(`\n${colors.bold(text)}\n`)
}

interface Run {
  expect?: number
  show?: (document: Record<string, unknown>) => unknown
}

/** Runs a command as a user would, checks its exit code, and prints what it says. */
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

/** Runs a command around a line of Node, checks its exit code, and prints what both say; that text. */
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

/** Ends the tour where what it shows is not so. */
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

/** Shows these members of a document only. */
export function pick(...keys: string[]): (document: Record<string, unknown>) => unknown {
  return (document) => Object.fromEntries(keys.map((key) => [key, document[key]]))
}
