/**
 * Writes the generated files of the contract and the documents below the working directory, the root of the project.
 *
 *   npm run contract                  writes them
 *   npm run contract -- --check       writes nothing; exits 1 and names files that differ
 *   npm run contract -- --fixtures    adds a row to the tables of bad fixtures for every rule without one
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { commandFacts, commandFactsPath } from './command-facts.ts'
import { badTables } from './fixtures.ts'

const { values } = parseArgs({ options: { check: { type: 'boolean' }, fixtures: { type: 'boolean' } } })
// The command is built from its facts, so they are written before the page about the command is made from it.
if (!values.check && !values.fixtures) write(commandFactsPath, commandFacts())
const { documents } = await import('./documents.ts')
const generated = await documents()
if (values.check) {
  const differing = [...generated].filter(([path, text]) => textOf(path) !== text).map(([path]) => path)
  for (const path of [...differing, ...strays()]) console.error(`${path} differs from what "npm run contract" writes`)
  process.exitCode = differing.length + strays().length === 0 ? 0 : 1
} else if (values.fixtures) {
  for (const [path, text] of badTables()) write(path, text)
} else {
  for (const [path, text] of generated) write(path, text)
  for (const path of strays()) console.error(`${path} is no longer generated; remove it`)
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

/** Schemas that are no longer generated. */
function strays(): string[] {
  const folder = 'contract/v1/schemas'
  const expected = new Set([...generated.keys()].map((path) => basename(path)))
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return []
  }
  return names.filter((name) => !expected.has(name)).map((name) => `${folder}/${name}`)
}
