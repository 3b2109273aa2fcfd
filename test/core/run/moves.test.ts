import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { isTerminal, mayMove, moves } from '../../../src/domain/run/moves.ts'
import { runStatuses } from '../../../src/kernel/vocabulary.ts'

const test = suite('the moves of a run')

/** Seed 3, section 3: a row for each state, a column for each state it may go to. */
const table = `
            created running completed failed denied cancelled
  created   no      yes     no        no     yes    yes
  running   no      no      yes       yes    yes    yes
  completed no      no      no        no     no     no
  failed    no      no      no        no     no     no
  denied    no      no      no        no     no     no
  cancelled no      no      no        no     no     no
`
const [columns = [], ...rows] = table
  .trim()
  .split('\n')
  .map((row) => row.trim().split(/\s+/))

test('are between the six states', () => {
  assert.equal([...runStatuses], columns)
  assert.equal(Object.keys(moves), columns)
})

for (const [from, ...cells] of rows) {
  for (const [index, to] of columns.entries()) {
    test(`${from} → ${to}: ${cells[index]}`, () => {
      assert.is(mayMove(from as keyof typeof moves, to as keyof typeof moves), cells[index] === 'yes')
    })
  }
}

test('are seven', () => assert.is(Object.values(moves).flat().length, 7))

test('end in four states', () => {
  assert.equal(runStatuses.filter(isTerminal), ['completed', 'failed', 'denied', 'cancelled'])
})

test.run()
