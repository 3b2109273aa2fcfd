import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root as project } from '../runner.ts'

/** Whether a cell's `file` title names a test: in the file itself, or as a row of a table that the file reads. */
export function isThere(named: string): boolean {
  const [, file = '', title = ''] = /^`([a-z/-]+)` (.+)$/.exec(named) ?? []
  const path = join(project, 'test', `${file}.test.ts`)
  if (title === '' || !existsSync(path)) return false
  const text = readFileSync(path, 'utf8')
  const words = title.split('…').map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return [text, ...tablesOf(text)].some((source) => literal(words).test(source))
}

/** A whole string literal of these words, with anything that is filled in between them. */
function literal(words: readonly string[]): RegExp {
  return new RegExp(`(['"\`])${words.join('(?:\\$\\{[^`]*?\\}|…)')}\\1`)
}

/** The tables that a test file reads: those of fixtures it imports, or names to \`fixture\`. */
function tablesOf(text: string): string[] {
  const names = [...text.matchAll(/fixtures\/([\w/-]+\.(?:ts|json))'|fixture(?:<[^(]*>)?\('([\w/-]+\.json)'\)/g)]
  return names.map(([, imported, read]) => readFileSync(join(project, 'fixtures', imported ?? read ?? ''), 'utf8'))
}
