import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { Sweep } from '../../src/service/sweep.ts'
import { governedIn, of } from '../support/governed-runs.ts'
import { testClock } from '../support/ledger.ts'
import { until, withService } from '../support/service.ts'

const sweeping = suite('sweeping expired leases')
const governed = governedIn(sweeping)

/** Starts a run below the orchestrator. */
async function start(ledger: LocalLedger, run_id: string, lease_duration_s?: number): Promise<string> {
  await ledger.runs.create({ ...of, run_id, parent_run_id: 'run_top_1', run_kind: 'tool_gateway' })
  await ledger.runs.start({ run_id, ...(lease_duration_s === undefined ? {} : { lease_duration_s }) })
  return run_id
}

/** A sweep that runs only when it is told to. */
async function withSweep(ledger: LocalLedger, runsMax: number, work: (sweep: Sweep) => Promise<void>): Promise<void> {
  const failures: unknown[] = []
  const sweep = new Sweep(ledger, { failed: (error) => failures.push(error), millis: 1_000_000, runsMax })
  await work(sweep)
  await sweep.stop()
  equal(failures, [])
}

const runningIn = async (ledger: LocalLedger) =>
  (await ledger.runs.list({ status: 'running' })).runs.map(({ run_id }) => run_id)

governed('fails runs whose lease has expired, page by page, and leaves no trace of others', async (ledger, clock) => {
  for (const at of [1, 2, 3, 4, 5]) await start(ledger, `run_brief_${at}`, 10)
  for (const at of [1, 2, 3]) await start(ledger, `run_long_${at}`, 500)
  await start(ledger, 'run_endless_1')
  await withSweep(ledger, 4, async (sweep) => {
    const before = await ledger.head.get()
    await sweep.now()
    await sweep.now()
    equal((await ledger.head.get()).size, before.size)
    await sweep.now()
    clock.advance(10_000)
    await ledger.runs.heartbeat({ run_id: 'run_long_1' })
    const { size } = await ledger.head.get()
    await sweep.now()
    await sweep.now()
    await sweep.now()
    equal(await runningIn(ledger), ['run_top_1', 'run_long_1', 'run_long_2', 'run_long_3', 'run_endless_1'])
    const { error, status } = await ledger.runs.get({ run_id: 'run_brief_5' })
    equal([status, error?.error_code, error?.retryable], ['failed', 'RUN_LEASE_EXPIRED', true])
    // One entry for each run that ended, and none for the others.
    is((await ledger.head.get()).size, size + 5)
    clock.advance(495_000)
    await sweep.now()
    await sweep.now()
    await sweep.now()
    equal(await runningIn(ledger), ['run_top_1', 'run_long_1', 'run_endless_1'])
  })
})

governed('leaves a run that is renewed at the same moment', async (ledger, clock) => {
  const run_id = await start(ledger, 'run_brief_1', 10)
  await withSweep(ledger, 100, async (sweep) => {
    clock.advance(9_999)
    await Promise.all([sweep.now(), ledger.runs.heartbeat({ run_id })])
    clock.advance(9_999)
    await sweep.now()
    is((await ledger.runs.get({ run_id })).status, 'running')
  })
})

sweeping('a service sweeps runs and locks by itself', async () => {
  const clock = testClock()
  await withService(
    async (_service, ledger) => {
      await ledger.policy.reload()
      await ledger.runs.create({ run_id: 'run_top_1', run_kind: 'orchestrator' })
      await ledger.runs.start({ run_id: 'run_top_1', lease_duration_s: 5 })
      await ledger.locks.acquire({ holder: 'h', lease_duration_s: 5, name: 'reports' })
      clock.advance(5_000)
      await until(
        'the run has failed',
        async () => (await ledger.runs.get({ run_id: 'run_top_1' })).status === 'failed',
      )
      await until('the lock is free', async () => (await ledger.locks.status({ name: 'reports' })).state === 'free')
    },
    { ledger: { now: clock.now }, sweep_s: 0.02 },
  )
})

sweeping.run()
