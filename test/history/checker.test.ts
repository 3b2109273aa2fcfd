import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { randomFrom } from '../../fixtures/random.ts'
import { printedSeed } from '../support/seed.ts'
import { violationsIn } from './checker.ts'
import { examples } from './examples.ts'
import { correctHistory, mutated } from './generated.ts'
import type { History } from './history.ts'
import { isLinearizable } from './reference.ts'

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 10) * 100
const slack = 1

const test = suite('the checker of histories')

for (const { deaths = [], isCorrect, operations, title } of examples) {
  test(`${isCorrect ? 'accepts' : 'rejects'} ${title}`, () => {
    const violations = violationsIn({ operations, deaths: new Map(deaths) }, slack)
    equal(violations.length > 0, !isCorrect, JSON.stringify(violations))
  })
}

test('agrees with a search over all orders, moments and tokens, for histories of up to seven commands', () => {
  const seed = printedSeed('the checker of histories')
  const random = randomFrom(seed)
  const tally = { correct: 0, changed: 0, wrong: 0 }
  for (let round = 0; round < rounds; round += 1) {
    const history = correctHistory(2 + (round % 6), random, slack)
    const where = `history ${round} of LOCKSTEP_SEED=${seed}`
    equal(violationsIn(history, slack), [], `${where}: ${JSON.stringify(history)}`)
    is(isLinearizable(history, slack), true, `${where}: ${JSON.stringify(history)}`)
    tally.correct += 1
    const changed = mutated(random() < 0.5 ? history : mutated(history, random), random)
    const expected = isLinearizable(changed, slack)
    is(isOrdered(changed), expected, `${where}, changed: ${JSON.stringify(changed)}`)
    tally[expected ? 'changed' : 'wrong'] += 1
  }
  console.log(JSON.stringify(tally))
  ok(tally.wrong > rounds / 5 && tally.changed > rounds / 5, JSON.stringify(tally))
})

/** Whether the checker finds an order. The search does not look at the order of seqs without one. */
function isOrdered(history: History): boolean {
  return violationsIn(history, slack).every(({ what }) => what.startsWith('seq'))
}

test.run()
