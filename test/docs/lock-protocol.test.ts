import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { isThere } from './named-tests.ts'

const protocol = suite('the lock protocol')
const page = readFileSync(join(project, 'docs/lock-protocol.md'), 'utf8')

/** What stands in place of a test where there can be none. */
const withoutTest = [
  'not run; `lockstep doctor` is the test',
  '[runbook.md](runbook.md#somebody-deleted-a-lock-file-by-hand)',
]

/** The rows of the tables below a heading, down to the next of its level. */
function rowsBelow(heading: string): string[][] {
  const [, below = ''] = page.split(`\n## ${heading}\n`)
  const [part = ''] = below.split('\n## ')
  const lines = part.split('\n').filter((line) => line.startsWith('| ') && !/^\| (?:id|ruling) \|/.test(line))
  return lines.map((line) => line.slice(2, -2).split(' | '))
}

const requirements = rowsBelow('Requirements and their tests')
const rulings = rowsBelow('Rulings and their tests')

protocol('rules on every requirement of the seed, each once', () => {
  const numbers = Array.from({ length: 13 }, (_, index) => `REQ-LOCK-${String(index + 1).padStart(3, '0')}`)
  const verification = Array.from({ length: 5 }, (_, index) => `X-${String(index + 1).padStart(3, '0')}`)
  equal(
    requirements.map(([id]) => id),
    [...numbers.slice(0, 1), 'REQ-LOCK-001a', ...numbers.slice(1), ...verification],
  )
})

protocol('names a test for every row, or says why there is none', () => {
  ok(rulings.length > 100, `${rulings.length} rulings were found`)
  for (const row of [...requirements, ...rulings]) {
    is(row.length, row[0]?.match(/^(?:REQ|X)-/) ? 3 : 2, row.join(' | '))
    ok(
      row.every((cell) => cell.trim() !== ''),
      row.join(' | '),
    )
  }
})

protocol('names tests that are there', () => {
  const missing = [...requirements, ...rulings].flatMap((row) =>
    (row.at(-1) ?? '').split('<br>').filter((named) => !withoutTest.includes(named) && !isThere(named)),
  )
  equal(missing, [])
})

protocol('would miss a test that is not there', () => {
  ok(isThere('`core/lock/lock-file` its name is .lock'))
  ok(!isThere('`core/lock/lock-file` its name is .loc'))
  ok(!isThere('`core/lock/lock-file` name is .lock'))
  ok(!isThere('`core/lock/no-file` its name is .lock'))
  ok(!isThere('its name is .lock'))
})

protocol.run()
