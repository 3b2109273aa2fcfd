import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { isThere } from './named-tests.ts'

const testing = suite('the track record')

/** The last cell of each row: a test file, and a title where one test holds the fault. */
function heldBy(): string[] {
  const [, record = ''] = readFileSync(join(project, 'docs/testing.md'), 'utf8').split('## Track record')
  return record.split('\n').flatMap((line) => /^\|.*\| (`[a-z/-]+` .+) \|$/.exec(line)?.[1] ?? [])
}

testing('names a test that exists for every fault', () => {
  const cells = heldBy()
  ok(cells.length >= 30, `${cells.length} rows`)
  const missing = cells.filter((cell) => {
    const [, file = '', title = ''] = /^`([a-z/-]+)` (.+)$/.exec(cell) ?? []
    return title === '…' ? !existsSync(join(project, 'test', `${file}.test.ts`)) : !isThere(cell)
  })
  equal(missing, [])
})

testing.run()
