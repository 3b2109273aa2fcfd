import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { counterexamplesOf } from './counterexamples.ts'
import { schemas } from './schemas.ts'

const folder = 'fixtures/contract'

/** The fixtures of a schema by name, from below the working directory; none where the folder is missing. */
export function fixturesOf(schema: string, kind: 'bad' | 'good'): Map<string, unknown> {
  const dir = join(folder, schema, kind)
  const stems = readNames(dir)
    .filter((name) => name.endsWith('.json'))
    .map((name) => basename(name, '.json'))
  return new Map(stems.sort().map((stem) => [stem, JSON.parse(readFileSync(join(dir, `${stem}.json`), 'utf8'))]))
}

/** For every rule of the schemas that no bad fixture breaks, a document that breaks it, by path. */
export function missingFixtures(): Map<string, unknown> {
  const missing = new Map<string, unknown>()
  for (const [name, schema] of Object.entries(schemas())) {
    const bad = fixturesOf(name, 'bad')
    for (const [stem, document] of counterexamplesOf(schema, fixturesOf(name, 'good')).documents) {
      if (!bad.has(stem)) missing.set(`${folder}/${name}/bad/${stem}.json`, document)
    }
  }
  return missing
}

function readNames(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
