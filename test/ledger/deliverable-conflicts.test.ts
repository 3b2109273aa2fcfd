import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { thisMachine } from '../../src/disk/process.ts'
import { isInitialPidNamespace } from '../../src/domain/lock/liveness.ts'
import {
  contentionFields,
  contentOf,
  deadHolder,
  foreignText,
  makeDeliverable,
  refusalOf,
  stamp,
  startHolder,
} from '../support/deliverable.ts'
import { entriesOf, lastOf, typesAppended } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

const minute = 60_000
const lock_id = 'lck_0123456789abcdef'
const otherActor = { actor_id: 'agent-2', actor_type: 'agent' } as const

const binding = suite('one name, one folder')

binding(
  'an id that another folder is bound to is refused, naming both: held, orphaned or free',
  scene(async ({ ledger, acquire, clock, root, visible }) => {
    const twin = makeDeliverable(root, 'archive/DEL-08-05_Copy')
    const lease = await acquire()
    const refused = async (what: string) => {
      const before = visible()
      const size = (await ledger.head.get()).size
      const { code, details, message } = await refusalOf(acquire({ folder: twin.path, holder: 'agent-2' }))
      is(code, 'LOCK_PLACEMENT', what)
      equal([details.bound_folder, details.folder], ['DEL-08-05_Lock', 'archive/DEL-08-05_Copy'], what)
      ok(message.includes('DEL-08-05_Lock') && message.includes('archive/DEL-08-05_Copy'), what)
      equal(visible(), before, what)
      is((await ledger.head.get()).size, size, what)
    }
    await refused('held')
    clock.advance(10 * minute)
    await refused('orphaned')
    await lease.release()
    await refused('free')
    is((await refusalOf(ledger.locks.retire({ folder: twin.path }))).code, 'LOCK_PLACEMENT')
    await ledger.locks.retire({ folder: join(root, 'DEL-08-05_Lock') })
    is((await acquire({ folder: twin.path })).folder, 'archive/DEL-08-05_Copy')
  }),
)

binding(
  'two folders of one id at once: one is bound, the other has no lock file left',
  scene(async ({ acquire, root, visible }) => {
    const twin = makeDeliverable(root, 'archive/DEL-08-05_Copy')
    const both = await Promise.allSettled([acquire(), acquire({ folder: twin.path, holder: 'agent-2' })])
    equal(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const locks = Object.keys(visible()).filter((name) => name.includes('.lock'))
    is(locks.length, 1)
  }),
)

binding(
  'execution_roots keep equal ids apart',
  scene(
    async ({ acquire, root }) => {
      const [first, second] = ['alpha', 'beta'].map((name) => makeDeliverable(root, `${name}/DEL-08-05_Lock`).path)
      const names = [await acquire({ folder: first }), await acquire({ folder: second })].map(({ name }) => name)
      equal(names, ['deliverable:A/DEL-08-05', 'deliverable:B/DEL-08-05'])
    },
    { config: { execution_roots: { alpha: 'A', beta: 'B' } } },
  ),
)

binding(
  'many acquires at once in one process: one grant, all others contention',
  scene(async ({ ledger, acquire }) => {
    const all = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => acquire({ holder: `agent-${n}` })))
    is(all.filter(({ status }) => status === 'fulfilled').length, 1)
    for (const outcome of all) if (outcome.status === 'rejected') is(outcome.reason.code, 'LOCK_CONTENTION')
    is((await entriesOf(ledger)).filter(({ type }) => type === 'lock.acquired').length, 1)
  }),
)

binding.run()

const missing = suite('a lock file that somebody removed')

missing(
  'is contention for others, is put back as it was, and that is recorded',
  scene(async ({ ledger, acquire, lock, clock }) => {
    const lease = await acquire()
    clock.advance(minute)
    await lease.renew()
    const text = readFileSync(lock, 'utf8')
    unlinkSync(lock)
    const types = await typesAppended(ledger, async () => {
      is((await refusalOf(acquire({ holder: 'agent-2' }))).code, 'LOCK_CONTENTION')
    })
    equal(types, ['lock.file_restored'])
    const { data } = await lastOf(ledger, 'lock.file_restored')
    equal(data, {
      folder: 'DEL-08-05_Lock',
      lock_ref: lease.lock_ref,
      name: lease.name,
      token: lease.token,
    })
    is(readFileSync(lock, 'utf8'), text)
    await lease.renew()
    await lease.release()
  }),
)

missing(
  'is put back for its own holder as well, who keeps the grant',
  scene(async ({ ledger, acquire, lock }) => {
    const lease = await acquire({ lock_id })
    unlinkSync(lock)
    const types = await typesAppended(ledger, async () => is((await acquire({ lock_id })).token, lease.token))
    equal(types, ['lock.file_restored'])
    ok(readFileSync(lock, 'utf8').includes(lease.lock_ref))
  }),
)

missing(
  'of an orphan is not put back: the orphan is recovered',
  scene(async ({ ledger, acquire, lock, clock }) => {
    await acquire()
    clock.advance(10 * minute)
    unlinkSync(lock)
    const types = await typesAppended(ledger, () => acquire({ holder: 'agent-2' }))
    equal(types, ['lock.recovered', 'lock.acquired'])
  }),
)

missing.run()

const takeover = suite('taking over an orphan')

takeover(
  'an expired grant: recovered and acquired in one append, a higher token, the old one stale',
  scene(async ({ ledger, acquire, clock, lock }) => {
    const old = await acquire()
    clock.advance(10 * minute)
    const from = (await ledger.head.get()).size
    const fresh = await acquire({ holder: 'agent-2', actor: otherActor })
    const [recovered, acquired, ...more] = await entriesOf(ledger, from)
    equal([recovered?.type, acquired?.type, more.length], ['lock.recovered', 'lock.acquired', 0])
    is(recovered?.time, acquired?.time)
    equal(recovered?.data, {
      by: 'agent-2',
      mode: 'automatic',
      name: 'deliverable:DEL-08-05',
      previous_acquired: old.acquired,
      previous_holder: 'agent-1',
      previous_token: old.token,
      reason: null,
      recovery_reason: 'lease_expired',
    })
    ok(fresh.token > old.token)
    ok(readFileSync(lock, 'utf8').includes(fresh.lock_ref))
    const guarded = ledger.audit.append({
      events: [{ action_type: 'system', outcome: 'success' }],
      guard: { name: old.name, token: old.token },
    })
    is((await refusalOf(guarded)).code, 'STALE_TOKEN')
    is((await refusalOf(old.renew())).code, 'STALE_TOKEN')
    is((await refusalOf(old.release())).code, 'LOCK_NOT_HELD')
    ok(readFileSync(lock, 'utf8').includes(fresh.lock_ref))
  }),
)

takeover(
  'a dead holder before its lease is over; of several processes all must be dead',
  scene(async ({ ledger, acquire }) => {
    const wrapper = startHolder()
    const child = startHolder()
    await acquire({ pids: [wrapper.pid, child.pid] })
    await wrapper.kill()
    is((await refusalOf(acquire({ holder: 'agent-2' }))).details.holder_alive, 'yes')
    await child.kill()
    await acquire({ holder: 'agent-2' })
    is((await lastOf(ledger, 'lock.recovered')).data.recovery_reason, 'pid_dead')
  }),
)

takeover(
  'a file of this ledger that no grant explains is debris of a crash: removed at once, and recorded',
  scene(async ({ ledger, acquire, lock }) => {
    const origin = (await ledger.head.get()).origin
    const debris = { ledger: origin, lock_ref: 'f'.repeat(16), holder: 'crashed', acquired: '2026-01-02T03:00:00.000Z' }
    writeFileSync(lock, foreignText(debris))
    const lease = await acquire()
    const { data } = await lastOf(ledger, 'lock.recovered')
    equal(
      [data.recovery_reason, data.previous_holder, data.previous_acquired, data.previous_token, data.mode],
      ['unrecorded', 'crashed', '2026-01-02T03:00:00.000Z', null, 'automatic'],
    )
    ok(readFileSync(lock, 'utf8').includes(lease.lock_ref))
  }),
)

takeover(
  'what crashes left beside the lock goes: temporaries, asides of this ledger',
  scene(async ({ ledger, acquire, path }) => {
    writeFileSync(join(path, '.lock.0123456789abcdef.tmp'), 'cut')
    const ours = foreignText({ ledger: (await ledger.head.get()).origin, lock_ref: 'f'.repeat(16) })
    writeFileSync(join(path, '.lock.aside.nonce'), ours)
    await acquire()
    equal(
      Object.keys(contentOf(path)).filter((name) => name.startsWith('.lock')),
      ['.lock'],
    )
  }),
)

takeover.run()

const foreign = suite('a lock file of another tool')

foreign(
  'that is valid is contention, with its facts, and is never touched',
  scene(async ({ ledger, acquire, lock, clock, root }) => {
    // In a container a bare pid says nothing.
    const isSeen = isInitialPidNamespace(thisMachine().pid_ns)
    const acquired = new Date(clock.now().wall_ms - 30_000).toISOString()
    writeFileSync(lock, foreignText({ acquired, lease_duration_s: 90, extra: 'x' }))
    const before = stamp(lock)
    const size = (await ledger.head.get()).size
    const { code, details } = await refusalOf(acquire())
    is(code, 'LOCK_CONTENTION')
    for (const field of contentionFields) ok(field in details, field)
    const { holder, lease_remaining_s, pid, holder_alive, token, path } = details
    equal(
      { holder, lease_remaining_s, pid, holder_alive, token, path },
      {
        holder: 'foreign-tool',
        lease_remaining_s: 60,
        pid: process.pid,
        holder_alive: isSeen ? 'yes' : 'unknown',
        token: null,
        path: lock,
      },
    )
    is(
      (
        await refusalOf(
          ledger.locks.recover({ name: 'deliverable:DEL-08-05', folder: join(root, 'DEL-08-05_Lock'), reason: 'x' }),
        )
      ).code,
      'LOCK_NOT_ORPHAN',
    )
    is((await refusalOf(ledger.locks.retire({ folder: join(root, 'DEL-08-05_Lock') }))).code, 'LOCK_IS_HELD')
    is(stamp(lock), before)
    is((await ledger.head.get()).size, size)
  }),
)

for (const [reason, facts] of Object.entries({
  lease_expired: () => ({ acquired: '2026-01-02T03:03:05.000Z', lease_duration_s: 60 }),
  pid_dead: () => ({ acquired: '2026-01-02T03:04:00.000Z', ...deadHolder() }),
})) {
  foreign(
    `that is an orphan by the seed's criteria (${reason}) is taken over`,
    scene(async ({ ledger, acquire, lock }) => {
      const found = facts()
      writeFileSync(lock, foreignText(found))
      const types = await typesAppended(ledger, () => acquire())
      equal(types, ['lock.recovered', 'lock.acquired'])
      const { data } = await lastOf(ledger, 'lock.recovered')
      equal(
        [data.recovery_reason, data.previous_holder, data.previous_acquired, data.previous_token],
        [reason, 'foreign-tool', found.acquired, null],
      )
    }),
  )
}

foreign(
  'whose pid no process can have is an orphan',
  scene(async ({ ledger, acquire, lock, clock }) => {
    writeFileSync(lock, foreignText({ acquired: new Date(clock.now().wall_ms).toISOString(), pid: 2 ** 40 }))
    await acquire()
    is((await lastOf(ledger, 'lock.recovered')).data.recovery_reason, 'pid_dead')
  }),
)

foreign(
  'that was set aside by a crash is judged as if it were .lock',
  scene(async ({ acquire, path, lock, clock }) => {
    writeFileSync(
      join(path, '.lock.aside.nonce'),
      foreignText({ acquired: new Date(clock.now().wall_ms).toISOString() }),
    )
    is((await refusalOf(acquire())).details.holder, 'foreign-tool')
    ok(readFileSync(lock, 'utf8').includes('foreign-tool'))
    not('.lock.aside.nonce' in contentOf(path))
  }),
)

for (const [what, content] of Object.entries({
  empty: '',
  cut: foreignText().slice(0, 40),
  incomplete: foreignText({ pid: undefined }),
  'with a holder that is too long': foreignText({ holder: 'x'.repeat(40_000) }),
  'with a lone surrogate': foreignText().replace('foreign-tool', '\\udc00'),
})) {
  foreign(
    `that is ${what} is contention, holder "unreadable", and is not touched`,
    scene(async ({ ledger, acquire, lock }) => {
      writeFileSync(lock, content)
      const before = stamp(lock)
      const size = (await ledger.head.get()).size
      const { code, details } = await refusalOf(acquire())
      equal([code, details.holder, details.lease_remaining_s], ['LOCK_CONTENTION', 'unreadable', 0])
      for (const field of contentionFields) ok(field in details, field)
      is(stamp(lock), before)
      is((await ledger.head.get()).size, size)
    }),
  )
}

foreign(
  'of an unknown major version is held, whatever it says, and never touched, not even by recover',
  scene(async ({ ledger, acquire, lock, root }) => {
    const folder = join(root, 'DEL-08-05_Lock')
    for (const schema_version of ['2.0', '10', '2']) {
      writeFileSync(lock, foreignText({ schema_version, ...deadHolder(), acquired: '2020-01-01T00:00:00Z' }))
      const before = stamp(lock)
      const { code, message } = await refusalOf(acquire())
      is(code, 'LOCK_CONTENTION')
      ok(message.includes(`schema version ${schema_version}`))
      const recovery = { name: 'deliverable:DEL-08-05', folder, reason: 'x' }
      is((await refusalOf(ledger.locks.recover(recovery))).code, 'LOCK_NOT_ORPHAN')
      is((await refusalOf(ledger.locks.retire({ folder }))).code, 'LOCK_IS_HELD')
      is(stamp(lock), before)
    }
  }),
)

foreign.run()
