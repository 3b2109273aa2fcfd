import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { counterexamplesOf } from './counterexamples.ts'
import { schemas } from './schemas.ts'

const folder = 'fixtures/contract'

/** The fixtures of a schema by name, from below the working directory; none where the folder is missing. */
export function fixturesOf(schema: string, kind: 'bad' | 'good'): Map<string, unknown> {
  const dir = join(folder, schema, kind)
  const names = readNames(dir).filter((name) => name.endsWith('.json'))
  return new Map(names.map((name) => [basename(name, '.json'), JSON.parse(readFileSync(join(dir, name), 'utf8'))]))
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
    return readdirSync(dir).sort()
  } catch {
    return []
  }
}
