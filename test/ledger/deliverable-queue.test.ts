import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { contentOf, foreignText, makeDeliverable, refusalOf, startHolder } from '../support/deliverable.ts'
import { lastOf } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

const minute = 60_000

const waiting = suite('waiting for a deliverable')

waiting(
  'those who wait are served in order, each with its own file',
  scene(async ({ ledger, acquire, lock }) => {
    const holder = await acquire()
    const order: string[] = []
    const waits = ['agent-2', 'agent-3'].map(async (name) => {
      const lease = await acquire({ holder: name, wait_s: 20 })
      order.push(name)
      ok(readFileSync(lock, 'utf8').includes(lease.lock_ref))
      await lease.release()
    })
    await waitersAre(ledger, 2)
    is((await refusalOf(acquire({ holder: 'agent-4' }))).code, 'LOCK_CONTENTION')
    await holder.release()
    await Promise.all(waits)
    equal(order, ['agent-2', 'agent-3'])
  }),
)

waiting(
  'ends with TIMED_OUT or, when the caller gives up, ABORTED; both with the report, and nothing changed',
  scene(async ({ ledger, acquire, path }) => {
    await acquire()
    const before = contentOf(path)
    const size = (await ledger.head.get()).size
    const abort = new AbortController()
    const aborted = refusalOf(acquire({ holder: 'agent-2', wait_s: 20 }, { signal: abort.signal }))
    const timedOut = refusalOf(acquire({ holder: 'agent-3', wait_s: 1 }))
    await waitersAre(ledger, 2)
    abort.abort()
    is((await aborted).code, 'ABORTED')
    const { code, details } = await timedOut
    is(code, 'TIMED_OUT')
    is(details.holder, 'agent-1')
    equal(contentOf(path), before)
    is((await ledger.head.get()).size, size)
  }),
)

waiting(
  'ends so as well behind a file of another tool',
  scene(async ({ ledger, acquire, lock, clock }) => {
    await (await acquire()).release()
    const text = foreignText({ acquired: new Date(clock.now().wall_ms).toISOString() })
    writeFileSync(lock, text)
    const timedOut = await refusalOf(acquire({ wait_s: 1 }))
    equal([timedOut.code, timedOut.details.holder], ['TIMED_OUT', 'foreign-tool'])
    const abort = new AbortController()
    const givenUp = refusalOf(acquire({ wait_s: 20 }, { signal: abort.signal }))
    await waitersAre(ledger, 1)
    abort.abort()
    const { code, details } = await givenUp
    equal([code, details.holder], ['ABORTED', 'foreign-tool'])
    is(readFileSync(lock, 'utf8'), text)
  }),
)

waiting(
  'a waiter recovers the orphan when the holder dies',
  scene(async ({ ledger, acquire }) => {
    const holder = startHolder()
    await acquire({ pids: [holder.pid] })
    const waiter = acquire({ holder: 'agent-2', wait_s: 20 })
    await waitersAre(ledger, 1)
    await holder.kill()
    is((await waiter).holder, 'agent-2')
    is((await lastOf(ledger, 'lock.recovered')).data.recovery_reason, 'pid_dead')
  }),
)

async function waitersAre(ledger: LocalLedger, count: number): Promise<void> {
  const end = performance.now() + 10_000
  while ((await ledger.locks.status({ name: 'deliverable:DEL-08-05' })).waiting !== count) {
    if (performance.now() > end) throw new Error(`there are not ${count} waiters within 10 s`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

waiting.run()

const listing = suite('listing deliverables')

listing(
  'lock list --under shows what is held below a folder, with the time that is left, by any spelling of it',
  scene(async ({ ledger, root, clock, acquire }) => {
    const inside = makeDeliverable(root, 'packages/one/DEL-01-01_A')
    await acquire({ folder: inside.path, holder: 'agent-1' })
    await acquire({ folder: makeDeliverable(root, 'packages/two/DEL-01-02_B').path, holder: 'agent-2' })
    await acquire({ folder: makeDeliverable(root, 'packages-old/DEL-01-03_C').path, holder: 'agent-3' })
    await hold(ledger, { name: 'reports', holder: 'agent-4' })
    clock.advance(minute)
    symlinkSync('packages', join(root, 'link'))
    const under = async (folder: string) =>
      (await ledger.locks.list({ under: join(root, folder) })).locks.map(
        ({ name, lease_remaining_s }) => `${name} ${lease_remaining_s}`,
      )
    const both = ['deliverable:DEL-01-01 540', 'deliverable:DEL-01-02 540']
    equal(await under('packages'), both)
    equal(await under('packages/'), both)
    equal(await under('link'), both)
    equal(await under('packages/one/DEL-01-01_A'), both.slice(0, 1))
    is((await refusalOf(under('nowhere'))).code, 'NOT_FOUND')
    is((await under('.')).length, 3)
    is((await ledger.locks.list()).locks.length, 4)
    rmSync(inside.path, { recursive: true })
    equal(await under('packages/one/DEL-01-01_A'), both.slice(0, 1))
  }),
)

listing(
  'status says held, orphan with its reason, and free',
  scene(async ({ ledger, acquire, clock }) => {
    const lease = await acquire()
    const status = async () => {
      const { state, orphan_reason, lease_remaining_s, holder_alive, folder } = await ledger.locks.status({
        name: lease.name,
      })
      return { state, orphan_reason, lease_remaining_s, holder_alive, folder }
    }
    const folder = 'DEL-08-05_Lock'
    equal(await status(), {
      state: 'held',
      orphan_reason: undefined,
      lease_remaining_s: 600,
      holder_alive: 'yes',
      folder,
    })
    clock.advance(10 * minute)
    equal(await status(), {
      state: 'orphan',
      orphan_reason: 'lease_expired',
      lease_remaining_s: 0,
      holder_alive: 'yes',
      folder,
    })
    await lease.release()
    is((await status()).state, 'free')
  }),
)

listing.run()
