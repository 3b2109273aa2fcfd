import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { Sweep } from '../../src/service/sweep.ts'
import { endsWithVerify, temporaryRoot, testActor, testClock } from '../support/ledger.ts'
import { startRuns } from '../support/turns.ts'

const sweeping = suite('retention in the service')
const run_id = 'run_one_1'

sweeping('erases what is due at the first sweep, and looks again an hour later', async () => {
  const clock = testClock(Date.now())
  const retention = { classes: { work: { covers: ['body'], delete_after: '200d' } } }
  const dir = temporaryRoot()
  const ledger = await openLedger({ actor: testActor, config: { retention }, create: true, dir, now: clock.now })
  await startRuns(ledger, [run_id])
  for (const turn_id of ['turn-0001', 'turn-0002', 'turn-0003']) {
    await ledger.turns.apply({ run_id, triplets: [{ body: { text: turn_id }, stem: 'note' }], turn_id })
  }
  clock.advance(201 * 24 * 60 * 60 * 1_000)
  await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
  const failures: unknown[] = []
  const sweep = new Sweep(ledger, { failed: (error) => failures.push(error), millis: 1_000_000 })
  await sweep.now()
  const { size } = await ledger.head.get()
  const { data, type } = await ledger.log.entry({ seq: size - 1 })
  equal([type, data.class, (data.digests as string[]).length], ['object.erased', 'work', 2])
  await sweep.now()
  is((await ledger.head.get()).size, size)
  await sweep.stop()
  equal(failures, [])
  await ledger.close()
  await endsWithVerify(dir)
})

sweeping.run()
