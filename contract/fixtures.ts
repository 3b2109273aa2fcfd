import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import * as z from 'zod'
import { type BadRow, badRowSchema, counterexamplesOf } from './counterexamples.ts'
import { schemas } from './schemas.ts'

const folder = 'fixtures/contract'
const tablePath = (schema: string) => join(folder, `${schema}.bad.json`)

/** The good fixtures of a schema by name, read below the working directory. */
export function goodFixturesOf(schema: string): Map<string, unknown> {
  const stems = readdirSync(join(folder, schema)).map((name) => basename(name, '.json'))
  return new Map(stems.sort().map((stem) => [stem, readJson(join(folder, schema, `${stem}.json`))]))
}

/** The bad fixtures of a schema; empty if there is no table yet. */
export function badRowsOf(schema: string): BadRow[] {
  return existsSync(tablePath(schema)) ? z.array(badRowSchema).parse(readJson(tablePath(schema))) : []
}

/** The name of a bad fixture: `<good fixture>--<pointer>--<fault>`. */
export function nameOf(row: BadRow): string {
  return `${row.of}--${pointerOf(row)}--${row.fault}`
}

/** The pointer at which a bad fixture differs from its good one. */
export function pointerOf(row: BadRow): string {
  if ('remove' in row) return row.remove
  return 'set' in row ? row.set : row.repeat
}

/** The document of a row: a copy of its good fixture with one change. */
export function documentOf(row: BadRow, goods: ReadonlyMap<string, unknown>): unknown {
  if (!goods.has(row.of)) throw new Error(`${nameOf(row)} names no good fixture`)
  // The first step of the pointer is the empty text before its first slash. It leads from here to the document.
  const start: Record<string, unknown> = { '': structuredClone(goods.get(row.of)) }
  const steps = pointerOf(row).split('/')
  const last = steps.pop() ?? ''
  const parent = steps.reduce((at, step) => at[step] as Record<string, unknown>, start)
  if ('remove' in row) delete parent[last]
  else if ('set' in row) parent[last] = row.value
  else parent[last] = Array.from({ length: row.times }, () => (parent[last] as unknown[])[0])
  return start['']
}

/** The tables of bad fixtures by path: the existing rows and, for every rule, a row that breaks it. */
export function badTables(): Map<string, string> {
  return new Map(
    Object.entries(schemas()).map(([name, schema]) => {
      const { rows } = counterexamplesOf(schema, goodFixturesOf(name))
      return [tablePath(name), tableOf([...badRowsOf(name), ...rows])]
    }),
  )
}

/** One row per line, sorted by name. If two rows have one name, the later is kept. */
function tableOf(rows: BadRow[]): string {
  const byName = new Map(rows.map((row) => [nameOf(row), JSON.stringify(row)]))
  const lines = [...byName.keys()].sort().map((name) => byName.get(name))
  return `[\n${lines.join(',\n')}\n]\n`
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'))
}
