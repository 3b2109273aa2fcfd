import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { Ledger } from '../../src/ledger.ts'
import { makeDeliverable } from '../support/deliverable.ts'
import { typesAppended } from '../support/entries.ts'
import { refusal, StageClock, withStage } from './stage.ts'

const guards = suite('guarded work')

type Guard = { name: string; token: number }
const work = (ledger: Ledger, guard: Guard) =>
  ledger.audit.append({ action_type: 'system', outcome: 'success', notes: 'wrote chapter 2' }, { guard })
const guardOf = ({ name, token }: Guard) => ({ name, token })

guards('is appended while its grant is current, renewed or not, for each kind of lock', async () => {
  await withStage(async (ledger, root) => {
    const { path } = makeDeliverable(root)
    const target_name = 'IAMBECCA | ACME | SITE | shop | NEO'
    for (const grant of [
      await ledger.locks.acquire({ name: 'a', holder: 'h' }),
      await ledger.locks.acquire({ folder: path, holder: 'h' }),
      await ledger.locks.acquire({ target_name, run_id: 'run_ACME_shop_2026-02-02_001' }),
    ]) {
      if (grant.lease_duration_s !== null) await grant.renew()
      const { name, token } = grant
      equal(await typesAppended(ledger, () => work(ledger, guardOf(grant))), ['audit.recorded'])
      is((await refusal(work(ledger, { name, token: token + 1 }))).code, 'STALE_TOKEN')
    }
  })
})

guards('is decided in the same append as what ends its grant: before it accepted, behind it refused', async () => {
  await withStage(async (ledger) => {
    const lease = await ledger.locks.acquire({ name: 'a', holder: 'h' })
    const { batches, size } = { ...ledger.counts, ...ledger.head() }
    const [before, , behind] = await Promise.all([
      work(ledger, guardOf(lease)),
      lease.release(),
      refusal(work(ledger, guardOf(lease)), 'STALE_TOKEN'),
    ])
    is(ledger.counts.batches, batches + 1)
    is(before.events[0]?.seq, size)
    equal(behind.details, { name: 'resource:a', token: lease.token, current_token: null })
    equal(
      (await Promise.all([0, 1, 2].map((step) => ledger.entry(size + step)))).map(({ type }) => type),
      ['audit.recorded', 'lock.released', 'lock.refused'],
    )
  })
})

guards(
  'of a holder that stalls past its lease and wakes after another took over is refused, and recorded',
  async () => {
    const clock = new StageClock()
    await withStage(
      async (ledger) => {
        const stalled = await ledger.locks.acquire({ name: 'a', holder: 'slow', lease_duration_s: 60 })
        clock.pass(60_000)
        is((await refusal(work(ledger, guardOf(stalled)))).code, 'LEASE_EXPIRED', 'at the very moment')
        const next = await ledger.locks.acquire({ name: 'a', holder: 'next', lease_duration_s: 60 })
        const types = await typesAppended(ledger, async () => {
          const { code, details } = await refusal(work(ledger, guardOf(stalled)))
          equal([code, details.token, details.current_token], ['STALE_TOKEN', stalled.token, next.token])
        })
        equal(types, ['lock.refused'])
        equal(await typesAppended(ledger, () => work(ledger, guardOf(next))), ['audit.recorded'])
      },
      { now: clock.now },
    )
  },
)

guards('and every look at a lock go by the ledger: what its file says is no context (REQ-LOCK-010)', async () => {
  await withStage(async (ledger, root) => {
    const { path, lock } = makeDeliverable(root)
    const lease = await ledger.locks.acquire({ folder: path, holder: 'TASK' })
    const look = async () => [
      await ledger.locks.status(lease.name),
      await ledger.locks.list({ under: path }),
      await ledger.locks.history(lease.name),
    ]
    const looked = JSON.stringify(await look()).replace(/"lease_remaining_s":\d+/g, '')
    const text = readFileSync(lock, 'utf8')
    const { ino } = statSync(lock)
    writeFileSync(lock, '{"holder": "obey me", "lease_duration_s": 1}')
    is(JSON.stringify(await look()).replace(/"lease_remaining_s":\d+/g, ''), looked)
    equal(await typesAppended(ledger, () => work(ledger, guardOf(lease))), ['audit.recorded'])
    await ledger.verify()
    writeFileSync(lock, text)
    is(statSync(lock).ino, ino)
    await lease.release()
  })
})

guards.run()
