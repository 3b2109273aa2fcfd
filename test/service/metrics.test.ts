import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { law2, type Rule } from '../../fixtures/turn/rules.ts'
import { pathOf, paths } from '../../src/api/wire.ts'
import { of } from '../support/governed-runs.ts'
import { testClock } from '../support/ledger.ts'
import { ask, begin, post, posted, until, withService } from '../support/service.ts'
import { play, startRuns } from '../support/turns.ts'

const measuring = suite('/metrics')

/** The samples of the service, by name and label: `acquisitions_total granted`. */
async function scraped(at: string): Promise<Map<string, number>> {
  const { text } = await ask(at, paths.metrics)
  const samples = new Map<string, number>()
  for (const [, name = '', label, value] of text.matchAll(/^lockstep_(\w+)(?:\{\w+="([^"]*)"\})? (\S+)$/gm)) {
    samples.set(label === undefined ? name : `${name} ${label}`, Number(value))
  }
  return samples
}

/** The samples of one metric, by label. */
function byWord(samples: Map<string, number>, name: string): Record<string, number> {
  const found = [...samples].filter(([key]) => key.startsWith(`${name} `))
  return Object.fromEntries(found.map(([key, value]) => [key.slice(name.length + 1), value]).sort())
}

const acquire = '/v1/locks/acquire'

measuring('counts locks, waiting callers, recoveries and refusals as they happened', async () => {
  const clock = testClock()
  await withService(
    async ({ address }) => {
      await posted(address, acquire, { holder: 'h', lease_duration_s: 5, lock_id: 'lck_first00000000000', name: 'a' })
      await posted(address, acquire, { holder: 'h', name: 'b' })
      for (const _ of [1, 2, 3]) is((await post(address, acquire, { holder: 'h', name: 'b' })).status, 409)
      const unheld = await post(address, '/v1/locks/release', { lock_id: 'lck_other00000000000' })
      is(unheld.status, 409, unheld.text)
      is((await post(address, acquire, { holder: 'h', name: 'b', wait_s: 1 })).status, 408)
      const gone = new AbortController()
      const waiting = post(address, acquire, { holder: 'h', name: 'b', wait_s: 60 }, { signal: gone.signal })
      waiting.catch(() => {})
      await until('a caller waits', async () => (await scraped(address)).get('waiting') === 1)
      is((await scraped(address)).get('waiting_requests'), 1)
      gone.abort()
      await until('no caller waits', async () => (await scraped(address)).get('waiting') === 0)
      clock.advance(5_000)
      await posted(address, acquire, { holder: 'other', name: 'a' })
      const samples = await scraped(address)
      equal(byWord(samples, 'acquisitions_total'), { contention: 3, granted: 3, timed_out: 1 })
      equal(byWord(samples, 'recoveries_total'), { lease_expired: 1 })
      equal(byWord(samples, 'refusals_total'), { ABORTED: 1, LOCK_CONTENTION: 3, LOCK_NOT_HELD: 1, TIMED_OUT: 1 })
      is(samples.get('queue'), 0)
      // Each batch is observed once, with all of its entries.
      is(samples.get('batch_entries_count'), samples.get('batches_total'))
      is(samples.get('batch_entries_sum'), samples.get('entries_total'))
      is(samples.get('batch_sync_seconds_count'), samples.get('batches_total'))
      ok(Number(samples.get('batch_sync_seconds_sum')) > 0)
    },
    { ledger: { now: clock.now } },
  )
})

measuring('counts runs, decisions and promotions as they happened', async () => {
  await withService(async ({ address }, ledger) => {
    const before = await scraped(address)
    equal(byWord(before, 'runs_total'), {})
    await startRuns(ledger, ['run_one_1', 'run_two_2'])
    const tool = { ...of, run_id: 'run_tool1', parent_run_id: 'run_one_1', run_kind: 'tool_gateway' }
    await posted(address, pathOf('runs', 'create'), tool)
    await posted(address, pathOf('runs', 'start'), { run_id: 'run_tool1' })
    const action = { action_type: 'tool_call', lane_id: of.lane_id, scope: {}, target: { name: 'dictation.start' } }
    await posted(address, pathOf('runs', 'authorize'), { action, run_id: 'run_tool1' })
    const error = { error_code: 'E1', message: 'it broke', retryable: false }
    await posted(address, pathOf('runs', 'fail'), { error, outcome_reason: 'broken', run_id: 'run_two_2' })
    await play(ledger, law2[2] as Rule)
    for (const _ of [1, 2]) {
      await post(address, pathOf('turns', 'promote'), { run_id: 'run_one_1', turn_id: 'turn-0007' })
    }
    const samples = await scraped(address)
    equal(byWord(samples, 'runs_total'), { created: 3, denied: 1, failed: 1, running: 3 })
    equal(byWord(samples, 'decisions_total'), { allow: 3, deny: 1 })
    equal(byWord(samples, 'promotions_total'), {
      E_PROMOTION_ALREADY_APPLIED: 1,
      E_PROMOTION_OUT_OF_ORDER: 2,
      PROMOTED: 1,
    })
    is(samples.get('head_size'), (await ledger.head.get()).size)
  })
})

measuring('tells readers of server-sent events from readers of lines', async () => {
  await withService(async ({ address }) => {
    const events = await begin(address, `${paths.events}?from=0`)
    const lines = await begin(address, '/v1/log/subscribe?from=0')
    await until('both are counted', async () => (await scraped(address)).get('streams') === 2)
    is((await scraped(address)).get('sse_clients'), 1)
    for (const stream of [events, lines]) stream.destroy()
    await until('neither is counted', async () => (await scraped(address)).get('streams') === 0)
    is((await scraped(address)).get('sse_clients'), 0)
  })
})

measuring.run()
