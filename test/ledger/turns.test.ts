import { suite } from 'uvu'
import { law2, law6, pruning, rules } from '../../fixtures/turn/rules.ts'
import { shared } from '../../fixtures/turn/workspaces.ts'
import { withLedger } from '../support/ledger.ts'
import { play, startRuns } from '../support/turns.ts'

const test = suite('turns')

for (const rule of [...law2, ...rules, ...law6, ...pruning]) {
  test(rule.rule, () =>
    withLedger(async (ledger) => {
      await startRuns(ledger, ['run_one_1'])
      await play(ledger, rule)
    }),
  )
}

for (const rule of shared) {
  test(rule.rule, () =>
    withLedger(async (ledger) => {
      await startRuns(ledger, ['run_one_1', 'run_two_1'], 'flow-1')
      await play(ledger, rule)
    }),
  )
}

test.run()
