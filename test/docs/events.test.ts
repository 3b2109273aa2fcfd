import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal } from 'uvu/assert'
import { configEvents } from '../../src/domain/log/configuration.ts'
import { policyEventSchemas } from '../../src/domain/policy/events.ts'
import { runEventSchemas } from '../../src/domain/run/events.ts'
import { tokenEventSchemas } from '../../src/domain/token/events.ts'
import { turnEventSchemas } from '../../src/domain/turn/events.ts'
import { root as project } from '../runner.ts'

const page = suite('docs/reference/events.md')
const text = readFileSync(join(project, 'docs/reference/events.md'), 'utf8')

for (const [noun, schemas] of [
  ['Runs', runEventSchemas],
  ['Policy', policyEventSchemas],
  ['Configuration', configEvents],
  ['Turns', turnEventSchemas],
  ['Tokens', tokenEventSchemas],
] as const) {
  page(`has a row for every type of event: ${noun}`, () => {
    const [, below = ''] = text.split(`\n## ${noun}\n`)
    const [part = ''] = below.split('\n## ')
    const types = [...part.matchAll(/^\| `([a-z]+\.[a-z_]+)` \|/gm)].map(([, type]) => type)
    equal(types.sort(), Object.keys(schemas).sort())
  })
}

page.run()
