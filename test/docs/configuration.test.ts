import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal } from 'uvu/assert'
import { configSchema } from '../../src/kernel/config.ts'
import { root } from '../runner.ts'

const configuration = suite('docs/reference/configuration.md')

configuration('has exactly one row for every key of the configuration', () => {
  const text = readFileSync(join(root, 'docs/reference/configuration.md'), 'utf8')
  const keys = [...text.matchAll(/^\| `(\w+)` \|/gm)].map(([, key]) => key)
  equal(keys.sort(), Object.keys(configSchema.shape).sort())
})

configuration.run()
