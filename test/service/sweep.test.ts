import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { CreatedToken } from '../../src/api/shapes/tokens.ts'
import { given } from '../../src/kernel/given.ts'
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

governed('records the expiry of each token once, page by page', async (ledger, clock) => {
  const token_actor = { actor_id: 'agent-7', actor_type: 'agent' } as const
  const actor = { actor_id: 'BECCA', actor_type: 'human' } as const
  // The entries of `init` have the time of the real clock.
  clock.advance(100 * 365 * 24 * 60 * 60 * 1_000)
  const made: CreatedToken[] = []
  for (const expires_in_s of [5, 5, 500, undefined, 5]) {
    made.push(await ledger.tokens.create({ ...given({ expires_in_s }), actor, grants: ['agent'], token_actor }))
  }
  const ended = [made[0], made[1], made[4]].map((token) => token?.token_id).sort()
  await ledger.tokens.revoke({ actor, token_id: made[4]?.token_id ?? '' })
  const recorded = async () => {
    const ids = []
    for await (const { data, type } of ledger.log.read()) if (type === 'token.expired') ids.push(data.token_id)
    return ids.sort()
  }
  const expireAll = async () => {
    let last: string | undefined
    do last = await ledger.bearers.expire(last, 2)
    while (last !== undefined)
  }
  await expireAll()
  equal(await recorded(), [])
  clock.advance(5_000)
  await Promise.all([expireAll(), expireAll()])
  // A revoked token has ended already.
  equal(
    await recorded(),
    ended.filter((id) => id !== made[4]?.token_id),
  )
  // A recorded expiry stands, whatever becomes of the clock.
  clock.advance(-5_000)
  is(await ledger.authenticate(made[0]?.secret ?? ''), undefined)
  is((await ledger.authenticate(made[3]?.secret ?? ''))?.token_id, made[3]?.token_id)
  clock.advance(5_000)
  await expireAll()
  is((await recorded()).length, 2)
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
