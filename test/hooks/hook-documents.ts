import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HarnessName } from '../../src/hooks/forms.ts'
import { root } from '../runner.ts'

const folder = join(root, 'fixtures/hooks')

/** A document that a harness gives its hooks, with a working folder in the place of `FOLDER`. */
export function hookDocument(harness: HarnessName, name: string, dir: string): Record<string, unknown> {
  const text = readFileSync(join(folder, harness, `${name}.json`), 'utf8')
  return JSON.parse(text.replaceAll('FOLDER', JSON.stringify(dir).slice(1, -1))) as Record<string, unknown>
}

/** The names of all documents of a harness. */
export function hookDocuments(harness: HarnessName): string[] {
  return readdirSync(join(folder, harness)).map((file) => file.replace(/\.json$/, ''))
}
