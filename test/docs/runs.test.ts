import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { policyEventSchemas } from '../../src/core/policy/events.ts'
import { runEventSchemas } from '../../src/core/run/events.ts'
import { root as project } from '../runner.ts'
import { isThere } from './named-tests.ts'

const pages = suite('the pages on runs and policy')
const pageOf = (name: string) => readFileSync(join(project, 'docs', name), 'utf8')

/** The rows below the comment that a page is held by. */
function rulingsOf(page: string): string[][] {
  const [, below = ''] = page.split('<!-- held by test/docs/runs.test.ts -->\n')
  const [table = ''] = below.split('\n## ')
  const lines = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| seed |'))
  return lines.map((line) => line.slice(2, -2).split(' | '))
}

/** Every section of seed 3 that asks for something. */
const sections = [
  ...['1.1', '1.2', '1.3', '2', '3', '4', '5.1', '5.2', '5.3', '6', '7.1', '7.2', '8.1', '8.2', '9.1', '9.2'],
  ...['10.1', '10.2', '11'],
]

pages('runs.md has a ruling on every section of the seed, in their order', () => {
  const named = rulingsOf(pageOf('runs.md')).map(([section = '']) => section)
  equal([...new Set(named)], [...sections, '–'])
})

for (const name of ['runs.md', 'policy.md']) {
  pages(`${name} names tests that are there for each ruling`, () => {
    const rows = rulingsOf(pageOf(name))
    ok(rows.length >= 5, `${rows.length} rulings were found`)
    for (const row of rows) is(row.length, 3, row.join(' | '))
    const named = rows.flatMap((row) => (row[2] ?? '').split('<br>'))
    equal(
      named.filter((title) => !isThere(title)),
      [],
    )
  })
}

for (const [name, schemas] of [
  ['runs.md', runEventSchemas],
  ['policy.md', policyEventSchemas],
] as const) {
  pages(`${name} has a row for every type of event`, () => {
    const types = [...pageOf(name).matchAll(/^\| `([a-z]+\.[a-z]+)` \|/gm)].map(([, type]) => type)
    equal(types, Object.keys(schemas))
  })
}

pages.run()
