import { suite } from 'uvu'
import { equal, ok, throws } from 'uvu/assert'
import { type ChapterName, type ConformanceRow, conformanceOf, rowsOf } from '../../contract/conformance.ts'
import { isThere } from './named-tests.ts'

const conformance = suite('contract/conformance')

/** The fewest rows that each chapter may have: a file that lost rows is noticed. */
const rowsMin: Record<ChapterName, number> = { locks: 200, runs: 45, turns: 30 }

const requirementsIn = (rows: readonly ConformanceRow[]) =>
  rows.flatMap(({ requirement }) => (requirement === undefined ? [] : [requirement]))

conformance('rules on every requirement of the lock specification, each once', () => {
  const numbers = Array.from({ length: 13 }, (_, index) => `REQ-LOCK-${String(index + 1).padStart(3, '0')}`)
  const verification = Array.from({ length: 5 }, (_, index) => `X-${String(index + 1).padStart(3, '0')}`)
  const wanted = [...numbers.slice(0, 1), 'REQ-LOCK-001a', ...numbers.slice(1), ...verification]
  equal(requirementsIn(rowsOf('locks')), wanted)
})

/** Every section of Run Lifecycle, Contract v1, that asks for something. */
const sections = [
  ...['1.1', '1.2', '1.3', '2', '3', '4', '5.1', '5.2', '5.3', '6', '7.1', '7.2', '8.1', '8.2', '9.1', '9.2'],
  ...['10.1', '10.2', '11'],
]

conformance('has a ruling on every section of the run lifecycle contract, in their order', () => {
  const { rows = [] } = conformanceOf('runs').sections.find(({ title }) => title === 'Runs: requirements') ?? {}
  equal([...new Set(requirementsIn(rows))], sections)
})

for (const name of ['locks', 'runs', 'turns'] as const) {
  conformance(`names tests that exist for each ruling on ${name}`, () => {
    const rows = rowsOf(name)
    ok(rows.length >= rowsMin[name], `${rows.length} rulings were found`)
    const named = rows.flatMap(({ tests = [] }) => tests.flatMap((test) => Object.entries(test)))
    equal(
      named.map(([file, title]) => `\`${file}\` ${title}`).filter((test) => !isThere(test)),
      [],
    )
  })
}

conformance('names a test for every row, or says why there is none', () => {
  const without = (['locks', 'runs', 'turns'] as const).flatMap((name) =>
    rowsOf(name).filter(({ tests }) => tests === undefined),
  )
  equal(new Set(without.map(({ untested }) => untested?.slice(0, 8))), new Set(['Not run ', '[Runbook']))
  throws(() => conformanceOf('none' as ChapterName), /none\.yaml/)
})

conformance('would notice a test that does not exist', () => {
  ok(isThere('`core/lock/lock-file` its name is .lock'))
  ok(!isThere('`core/lock/lock-file` its name is .loc'))
  ok(!isThere('`core/lock/lock-file` name is .lock'))
  ok(!isThere('`core/lock/no-file` its name is .lock'))
  ok(!isThere('its name is .lock'))
})

conformance.run()
