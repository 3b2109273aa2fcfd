import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runRecordSchema } from '../../src/core/run/run-record.ts'
import { withLedger } from '../support/ledger.ts'

const test = suite('runs')

test('a run is created, started and completed', async () => {
  await withLedger(async (ledger) => {
    await ledger.policy.reload()
    const { run_id } = runRecordSchema.parse(await ledger.runs.create({ run_kind: 'orchestrator' }))
    await ledger.runs.start({ run_id })
    const record = await ledger.runs.complete({ run_id, outcome_reason: 'done' })
    assert.is(record.status, 'completed')
  })
})

test.run()
