import {
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { thisMachine } from '../../src/disk/process.ts'
import { isInitialPidNamespace } from '../../src/domain/lock/liveness.ts'
import type { Ledger } from '../../src/ledger.ts'
import {
  contentionFields,
  contentOf,
  deadHolder,
  deadPid,
  foreignText,
  makeDeliverable,
  refusalOf,
  startHolder,
} from '../support/deliverable.ts'
import { entriesOf, lastOf, typesAppended } from '../support/entries.ts'
import { type Scene, scene } from '../support/scene.ts'

const minute = 60_000
const lock_id = 'lck_0123456789abcdef'
const otherActor = { actor_id: 'agent-2', actor_type: 'agent' } as const

const stamp = (path: string) => {
  const { ino, mtimeNs, size } = lstatSync(path, { bigint: true })
  return `${ino} ${mtimeNs} ${size} ${readFileSync(path, 'utf8')}`
}

const acquiring = suite('acquiring a deliverable')

acquiring(
  '.lock says what the ruling says: six fields and schema_version, ledger, lock_ref and evidence, nothing else',
  scene(async ({ ledger, acquire, lock }) => {
    const lease = await acquire({ lock_id })
    const content = JSON.parse(readFileSync(lock, 'utf8'))
    const { evidence } = (await lastOf(ledger, 'lock.acquired')).data
    equal(content, {
      schema_version: '1.0',
      deliverable_id: 'DEL-08-05',
      holder: 'agent-1',
      acquired: lease.acquired,
      lease_duration_s: 600,
      pid: process.pid,
      ledger: ledger.head().origin,
      lock_ref: lease.lock_ref,
      evidence,
    })
    is(statSync(lock).size, 1024)
    is(statSync(lock).mode & 0o777, 0o644)
    not(readFileSync(lock, 'utf8').includes(lock_id))
    not('token' in content)
  }),
)

acquiring(
  'the grant says name, id, folder and token, and is current',
  scene(async ({ ledger, acquire }) => {
    const { name, deliverable_id, folder, holder, token, current, replayed, expires_at } = await acquire()
    equal(
      { name, deliverable_id, folder, holder, current, replayed, expires_at },
      {
        name: 'deliverable:DEL-08-05',
        deliverable_id: 'DEL-08-05',
        folder: 'DEL-08-05_Lock',
        holder: 'agent-1',
        current: true,
        replayed: false,
        expires_at: '2026-01-02T03:14:05.000Z',
      },
    )
    is(token, ledger.head().size - 1)
  }),
)

acquiring(
  'nothing but .lock changes, in the folder or outside it, through acquire, renew and release (REQ-LOCK-008)',
  scene(async ({ acquire, clock, visible }) => {
    const before = visible()
    const lease = await acquire()
    const { 'DEL-08-05_Lock/.lock': held, ...others } = visible()
    equal(others, before)
    ok(held?.startsWith('644 '))
    clock.advance(minute)
    await lease.renew()
    const { 'DEL-08-05_Lock/.lock': renewed, ...rest } = visible()
    equal(rest, before)
    ok(renewed !== held)
    await lease.release()
    equal(visible(), before)
  }),
)

acquiring(
  '_STATUS.md is neither read nor written, whatever it says (REQ-LOCK-009)',
  scene(async ({ acquire, path, clock, ledger }) => {
    const status = join(path, '_STATUS.md')
    for (const content of ['state: IN_PROGRESS\n', '', '\0\xff not text', 'state: LOCKED\n'.repeat(10_000)]) {
      writeFileSync(status, content)
      const before = stamp(status)
      const { atimeNs } = lstatSync(status, { bigint: true })
      const lease = await acquire()
      await refusalOf(acquire({ holder: 'agent-2' }))
      await lease.renew()
      await lease.release()
      await acquire({ holder: 'agent-3' })
      clock.advance(11 * minute)
      await ledger.locks.recover({ name: 'deliverable:DEL-08-05', reason: 'test' })
      is(lstatSync(status, { bigint: true }).atimeNs, atimeNs)
      is(stamp(status), before)
    }
    rmSync(status)
    symlinkSync('nowhere', status)
    await (await acquire()).release()
    ok(lstatSync(status).isSymbolicLink())
  }),
)

acquiring(
  'a held lock is contention at once, with every field of the report (REQ-LOCK-007)',
  scene(async ({ acquire, clock, lock, ledger }) => {
    const lease = await acquire()
    clock.advance(90_500)
    const before = stamp(lock)
    const size = ledger.head().size
    const { code, details, retryable } = await refusalOf(acquire({ holder: 'agent-2' }))
    is(code, 'LOCK_CONTENTION')
    is(retryable, true)
    equal(Object.keys(details).sort(), contentionFields)
    const { host, ...facts } = details
    ok(typeof host === 'string' && host !== '')
    equal(facts, {
      name: 'deliverable:DEL-08-05',
      deliverable_id: 'DEL-08-05',
      holder: 'agent-1',
      lease_remaining_s: 510,
      contention_time: '2026-01-02T03:05:35.500Z',
      acquired: lease.acquired,
      pid: process.pid,
      holder_alive: 'yes',
      token: lease.token,
      retry_after_s: 60,
    })
    is(stamp(lock), before)
    is(ledger.head().size, size)
  }),
)

acquiring(
  'lease_remaining_s is rounded up, at least 1 while the lease is valid; the lease ends at the very moment',
  scene(async ({ acquire, clock }) => {
    await acquire()
    clock.advance(600_000 - 1)
    is((await refusalOf(acquire({ holder: 'agent-2' }))).details.lease_remaining_s, 1)
    clock.advance(1)
    is((await acquire({ holder: 'agent-2' })).holder, 'agent-2')
  }),
)

acquiring(
  'a lease is 60 to 3,600 s, 1,800 by default',
  scene(async ({ ledger, path }) => {
    for (const lease_duration_s of [0, 59, 3601, 86_400]) {
      const acquired = ledger.locks.acquire({ folder: path, holder: 'agent-1', lease_duration_s })
      is((await refusalOf(acquired)).code, 'INVALID_INPUT', String(lease_duration_s))
    }
    for (const lease_duration_s of [60, 3600, undefined]) {
      const lease = await ledger.locks.acquire({
        folder: path,
        holder: 'agent-1',
        ...(lease_duration_s === undefined ? {} : { lease_duration_s }),
      })
      is(lease.lease_duration_s, lease_duration_s ?? 1800)
      await lease.release()
    }
  }),
)

acquiring(
  'the configuration sets the bounds of a lease, down to 1 s',
  scene(
    async ({ acquire }) => {
      is((await refusalOf(acquire({ lease_duration_s: 3 }))).code, 'INVALID_INPUT')
      is((await acquire({ lease_duration_s: 1 })).lease_duration_s, 1)
    },
    { config: { deliverable_lease_s: { min: 1, max: 2 } } },
  ),
)

for (const [bounds, lease] of [
  [{ min: 1, max: 600 }, 600],
  [{ min: 2_400, max: 3_600 }, 2_400],
] as const) {
  acquiring(
    `a lease that nobody names is one that the configuration allows: ${bounds.min} … ${bounds.max}`,
    scene(
      async ({ acquire }) => {
        is((await acquire({ lease_duration_s: undefined })).lease_duration_s, lease)
      },
      { config: { deliverable_lease_s: bounds } },
    ),
  )
}

acquiring(
  'a process that cannot be seen is PID_NOT_FOUND, and nothing changes',
  scene(async ({ ledger, acquire, visible }) => {
    const before = visible()
    const size = ledger.head().size
    for (const pids of [[deadPid()], [process.pid, deadPid()], [2 ** 31 - 1]]) {
      is((await refusalOf(acquire({ pids }))).code, 'PID_NOT_FOUND')
    }
    equal(visible(), before)
    is(ledger.head().size, size)
  }),
)

acquiring(
  'write_scopes: only deliverable-local may hold a deliverable’s lock (REQ-LOCK-008)',
  scene(
    async ({ acquire, visible }) => {
      const before = visible()
      const rows: [actor: Record<string, unknown>, isAllowed: boolean][] = [
        [{ actor_id: 'task', actor_type: 'agent' }, true],
        [{ actor_id: 'other', actor_type: 'agent', role_id: 'TASK' }, true],
        [{ actor_id: 'lead', actor_type: 'agent' }, false],
        [{ actor_id: 'other', actor_type: 'agent', role_id: 'ORCHESTRATOR' }, false],
        [{ actor_id: 'stranger', actor_type: 'agent' }, false],
        [{ actor_id: 'lead', actor_type: 'agent', role_id: 'TASK' }, false],
      ]
      for (const [actor, isAllowed] of rows) {
        const acquired = acquire({ actor })
        if (isAllowed) await (await acquired).release()
        else is((await refusalOf(acquired)).code, 'WRITE_SCOPE_DENIED', JSON.stringify(actor))
        equal(visible(), before)
      }
    },
    {
      config: {
        write_scopes: {
          task: 'deliverable-local',
          TASK: 'deliverable-local',
          lead: 'tool-root-only',
          ORCHESTRATOR: 'tool-root-only',
        },
      },
    },
  ),
)

acquiring.run()

const again = suite('the same acquisition again')

again(
  'gives the same grant, and appends nothing',
  scene(async ({ ledger, acquire, lock }) => {
    const first = await acquire({ lock_id })
    const before = stamp(lock)
    const size = ledger.head().size
    const second = await acquire({ lock_id })
    equal([second.token, second.replayed, second.current], [first.token, true, true])
    is(ledger.head().size, size)
    is(stamp(lock), before)
  }),
)

again(
  'says that its grant has ended, however it ended, and takes nothing',
  scene(async ({ ledger, acquire, clock, visible }) => {
    const before = visible()
    const first = await acquire({ lock_id })
    await first.release()
    const released = await acquire({ lock_id })
    equal([released.token, released.replayed, released.current], [first.token, true, false])
    equal(visible(), before)

    const second = await acquire({ lock_id: `${lock_id}2`, holder: 'agent-2' })
    clock.advance(10 * minute)
    const held = visible()
    const expired = await acquire({ lock_id: `${lock_id}2`, holder: 'agent-2' })
    equal([expired.token, expired.replayed, expired.current], [second.token, true, false])
    equal(visible(), held)

    await (await acquire({ holder: 'agent-3' })).release()
    const size = ledger.head().size
    for (const [id, holder, token] of [
      [lock_id, 'agent-1', first.token],
      [`${lock_id}2`, 'agent-2', second.token],
    ] as const) {
      const replayed = await acquire({ lock_id: id, holder })
      equal([replayed.token, replayed.replayed, replayed.current], [token, true, false], id)
    }
    is(ledger.head().size, size)
  }),
)

again(
  'with another folder, holder or lease is IDEMPOTENCY_MISMATCH, also once it has ended',
  scene(async ({ acquire, root, visible }) => {
    const other = makeDeliverable(root, 'DEL-08-06_Other')
    const lease = await acquire({ lock_id })
    const before = visible()
    const rows = [{ folder: other.path }, { holder: 'agent-2' }, { lease_duration_s: 601 }]
    for (const row of rows) {
      is((await refusalOf(acquire({ lock_id, ...row }))).code, 'IDEMPOTENCY_MISMATCH', JSON.stringify(row))
    }
    equal(visible(), before)
    await lease.release()
    for (const row of rows) is((await refusalOf(acquire({ lock_id, ...row }))).code, 'IDEMPOTENCY_MISMATCH')
  }),
)

again(
  'by another actor is contention, not the grant',
  scene(async ({ acquire }) => {
    await acquire({ lock_id })
    is((await refusalOf(acquire({ lock_id, actor: otherActor }))).code, 'LOCK_CONTENTION')
  }),
)

again(
  'finds out that its file was taken by another tool',
  scene(async ({ ledger, acquire, lock }) => {
    await acquire({ lock_id })
    unlinkSync(lock)
    writeFileSync(lock, foreignText())
    const types = await typesAppended(ledger, async () => {
      const { code, details } = await refusalOf(acquire({ lock_id }))
      is(code, 'LOCK_CONTENTION')
      is(details.holder, 'foreign-tool')
    })
    equal(types, ['lock.lost'])
    is(readFileSync(lock, 'utf8').includes('foreign-tool'), true)
  }),
)

again.run()

const binding = suite('one name, one folder')

binding(
  'an id that another folder is bound to is refused, naming both: held, orphaned or free',
  scene(async ({ ledger, acquire, clock, root, visible }) => {
    const twin = makeDeliverable(root, 'archive/DEL-08-05_Copy')
    const lease = await acquire()
    const refused = async (what: string) => {
      const before = visible()
      const size = ledger.head().size
      const { code, details, message } = await refusalOf(acquire({ folder: twin.path, holder: 'agent-2' }))
      is(code, 'LOCK_PLACEMENT', what)
      equal([details.bound_folder, details.folder], ['DEL-08-05_Lock', 'archive/DEL-08-05_Copy'], what)
      ok(message.includes('DEL-08-05_Lock') && message.includes('archive/DEL-08-05_Copy'), what)
      equal(visible(), before, what)
      is(ledger.head().size, size, what)
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
    const from = ledger.head().size
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
    const guarded = ledger.audit.append(
      { action_type: 'system', outcome: 'success' },
      { guard: { name: old.name, token: old.token } },
    )
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
    const origin = ledger.head().origin
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
    const ours = foreignText({ ledger: ledger.head().origin, lock_ref: 'f'.repeat(16) })
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
    const size = ledger.head().size
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
    is(ledger.head().size, size)
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
      const size = ledger.head().size
      const { code, details } = await refusalOf(acquire())
      equal([code, details.holder, details.lease_remaining_s], ['LOCK_CONTENTION', 'unreadable', 0])
      for (const field of contentionFields) ok(field in details, field)
      is(stamp(lock), before)
      is(ledger.head().size, size)
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

const renewing = suite('renewing a deliverable')

renewing(
  'rewrites the file in place: same inode and length, a new time; same lock_id and token',
  scene(async ({ ledger, acquire, clock, lock }) => {
    const lease = await acquire()
    const before = statSync(lock, { bigint: true })
    const { token, acquired: first } = lease
    clock.advance(5 * minute)
    const renewal = await lease.renew()
    is(renewal.acquired, '2026-01-02T03:09:05.000Z')
    const after = statSync(lock, { bigint: true })
    equal([after.ino, after.size], [before.ino, before.size])
    is(JSON.parse(readFileSync(lock, 'utf8')).acquired, renewal.acquired)
    const { data } = await lastOf(ledger, 'lock.renewed')
    equal([data.token, data.renewals, data.acquired], [token, 1, renewal.acquired])
    clock.advance(9 * minute)
    is((await refusalOf(acquire({ holder: 'agent-2' }))).details.lease_remaining_s, 60)
    await lease.release()
    is((await lastOf(ledger, 'lock.released')).data.held_ms, 14 * minute)
    is(first, '2026-01-02T03:04:05.000Z')
  }),
)

const swaps: Record<string, { swap: (scene: Scene) => void; found: string }> = {
  'another tool’s file': {
    swap: ({ lock }) => {
      unlinkSync(lock)
      writeFileSync(lock, foreignText())
    },
    found: 'foreign-tool',
  },
  'another tool’s bytes in our inode': {
    swap: ({ lock }) => writeFileSync(lock, foreignText()),
    found: 'foreign-tool',
  },
  'an unreadable file': { swap: ({ lock }) => writeFileSync(lock, 'cut'), found: 'unreadable' },
  'a link': {
    swap: ({ lock, path }) => {
      linkSync(lock, join(path, 'kept'))
      unlinkSync(lock)
      symlinkSync('kept', lock)
    },
    found: 'not a plain file',
  },
  'a folder': {
    swap: ({ lock }) => {
      unlinkSync(lock)
      mkdirSync(lock)
    },
    found: 'not a plain file',
  },
}

for (const [what, { swap, found }] of Object.entries({
  ...swaps,
  nothing: { swap: ({ lock }: Scene) => unlinkSync(lock), found: 'missing' },
})) {
  renewing(
    `${what} in its place: lock.lost is recorded, the holder told LEASE_LOST, the grant over`,
    scene(async (stage) => {
      const { ledger, acquire, path } = stage
      const lease = await acquire()
      swap(stage)
      const before = contentOf(path)
      const types = await typesAppended(ledger, async () => {
        const { code, details } = await refusalOf(lease.renew())
        equal([code, details.found, details.token], ['LEASE_LOST', found, lease.token])
      })
      equal(types, ['lock.lost'])
      equal((await lastOf(ledger, 'lock.lost')).data, {
        found,
        holder: 'agent-1',
        lock_ref: lease.lock_ref,
        name: lease.name,
        token: lease.token,
      })
      equal(contentOf(path), before)
      const guard = { name: lease.name, token: lease.token }
      const guarded = ledger.audit.append({ action_type: 'system', outcome: 'success' }, { guard })
      is((await refusalOf(guarded)).code, 'STALE_TOKEN')
    }),
  )
}

renewing(
  'a lease that ran out is LEASE_EXPIRED, and its file is left as it is: never a resurrection',
  scene(async ({ ledger, acquire, clock, lock }) => {
    const lease = await acquire()
    clock.advance(10 * minute)
    const before = stamp(lock)
    is((await refusalOf(lease.renew())).code, 'LEASE_EXPIRED')
    is(stamp(lock), before)
    is((await lastOf(ledger, 'lock.refused')).data.code, 'LEASE_EXPIRED')
  }),
)

renewing(
  'a renewal that is refused after its file was rewritten takes the file back',
  scene(async (stage) => {
    const { acquire, clock, lock } = stage
    const lease = await acquire()
    const before = readFileSync(lock, 'utf8')
    clock.advance(9 * minute)
    let wasRewritten = false
    // The lease ends in the very moment between the file and the append.
    stage.onNow = () => {
      if (wasRewritten || readFileSync(lock, 'utf8') === before) return
      wasRewritten = true
      clock.advance(minute)
    }
    is((await refusalOf(lease.renew())).code, 'LEASE_EXPIRED')
    ok(wasRewritten)
    is(readFileSync(lock, 'utf8'), before)
  }),
)

renewing(
  'needs the lock_id and the same actor',
  scene(async ({ ledger, acquire, lock }) => {
    await acquire({ lock_id })
    const before = stamp(lock)
    is((await refusalOf(ledger.locks.renew({ lock_id, actor: otherActor }))).code, 'LOCK_NOT_HELD')
    is((await refusalOf(ledger.locks.renew({ lock_id: `${lock_id}x` }))).code, 'LOCK_NOT_HELD')
    is(stamp(lock), before)
  }),
)

renewing.run()

const releasing = suite('releasing a deliverable')

for (const outcome of ['success', 'failure'] as const) {
  releasing(
    `on ${outcome} removes the file, and says how long it was held (REQ-LOCK-005)`,
    scene(async ({ ledger, acquire, clock, path }) => {
      const before = contentOf(path)
      const lease = await acquire({ lock_id })
      clock.advance(1_234)
      const released = await ledger.locks.release({ lock_id, outcome })
      const { held_ms, late, token, files, replayed } = released
      equal(
        { held_ms, late, token, files, replayed },
        { held_ms: 1_234, late: false, token: lease.token, files: 'current', replayed: false },
      )
      equal(contentOf(path), before)
      is((await lastOf(ledger, 'lock.released')).data.outcome, outcome)
    }),
  )
}

releasing(
  'again is answered by the first, and appends nothing',
  scene(async ({ ledger, acquire }) => {
    await acquire({ lock_id })
    const first = await ledger.locks.release({ lock_id, outcome: 'failure' })
    const size = ledger.head().size
    const second = await ledger.locks.release({ lock_id })
    equal([second.replayed, second.outcome, second.released], [true, 'failure', first.released])
    is(ledger.head().size, size)
  }),
)

releasing(
  'what one does not hold is LOCK_NOT_HELD, recorded, and nothing else changes',
  scene(async ({ ledger, acquire, path }) => {
    await acquire({ lock_id })
    const before = contentOf(path)
    const types = await typesAppended(ledger, async () => {
      is((await refusalOf(ledger.locks.release({ lock_id, actor: otherActor }))).code, 'LOCK_NOT_HELD')
      is((await refusalOf(ledger.locks.release({ lock_id: `${lock_id}x` }))).code, 'LOCK_NOT_HELD')
      // The same refusal of one actor on one stream is recorded once in 10 s.
      is((await refusalOf(ledger.locks.release({ lock_id: `${lock_id}y` }))).code, 'LOCK_NOT_HELD')
    })
    equal(types, ['lock.refused', 'lock.refused'])
    equal(contentOf(path), before)
  }),
)

releasing(
  'an expired grant that nobody replaced is released late',
  scene(async ({ ledger, acquire, clock, path }) => {
    const before = contentOf(path)
    await acquire({ lock_id })
    clock.advance(11 * minute)
    const { late, held_ms } = await ledger.locks.release({ lock_id })
    equal([late, held_ms], [true, 11 * minute])
    equal(contentOf(path), before)
    is((await lastOf(ledger, 'lock.released')).data.late, true)
  }),
)

releasing(
  'a file that is gone is LEASE_LOST, for somebody may have been and gone; not once the lease is over anyway',
  scene(async ({ ledger, acquire, lock, clock, path }) => {
    await acquire({ lock_id })
    unlinkSync(lock)
    const { code, details } = await refusalOf(ledger.locks.release({ lock_id }))
    equal([code, details.found], ['LEASE_LOST', 'missing'])
    is((await lastOf(ledger, 'lock.lost')).data.found, 'missing')
    await acquire({ lock_id: `${lock_id}2` })
    unlinkSync(lock)
    clock.advance(10 * minute)
    is((await ledger.locks.release({ lock_id: `${lock_id}2` })).late, true)
    await acquire({ lock_id: `${lock_id}3` })
    rmSync(path, { recursive: true })
    is((await ledger.locks.release({ lock_id: `${lock_id}3` })).files, 'current')
  }),
)

for (const [what, { swap, found }] of Object.entries(swaps)) {
  releasing(
    `with ${what} in its place is LEASE_LOST, recorded, and that is left alone`,
    scene(async (stage) => {
      const { ledger, acquire, path } = stage
      await acquire({ lock_id })
      swap(stage)
      const before = contentOf(path)
      const types = await typesAppended(ledger, async () => {
        is((await refusalOf(ledger.locks.release({ lock_id }))).code, 'LEASE_LOST')
      })
      equal(types, ['lock.lost'])
      is((await lastOf(ledger, 'lock.lost')).data.found, found)
      equal(contentOf(path), before)
    }),
  )
}

releasing(
  'frees the folder for the next holder, whose token is higher',
  scene(async ({ acquire }) => {
    const first = await acquire()
    await first.release()
    ok((await acquire({ holder: 'agent-2' })).token > first.token)
  }),
)

releasing.run()

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
    const size = ledger.head().size
    const abort = new AbortController()
    const aborted = refusalOf(acquire({ holder: 'agent-2', wait_s: 20, signal: abort.signal }))
    const timedOut = refusalOf(acquire({ holder: 'agent-3', wait_s: 1 }))
    await waitersAre(ledger, 2)
    abort.abort()
    is((await aborted).code, 'ABORTED')
    const { code, details } = await timedOut
    is(code, 'TIMED_OUT')
    is(details.holder, 'agent-1')
    equal(contentOf(path), before)
    is(ledger.head().size, size)
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
    const givenUp = refusalOf(acquire({ wait_s: 20, signal: abort.signal }))
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

async function waitersAre(ledger: Ledger, count: number): Promise<void> {
  const end = performance.now() + 10_000
  while ((await ledger.locks.status('deliverable:DEL-08-05')).waiting !== count) {
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
    await ledger.locks.acquire({ name: 'reports', holder: 'agent-4' })
    clock.advance(minute)
    symlinkSync('packages', join(root, 'link'))
    const under = async (folder: string) =>
      (await ledger.locks.list({ under: join(root, folder) })).map(
        ({ name, lease_remaining_s }) => `${name} ${lease_remaining_s}`,
      )
    const both = ['deliverable:DEL-01-01 540', 'deliverable:DEL-01-02 540']
    equal(await under('packages'), both)
    equal(await under('packages/'), both)
    equal(await under('link'), both)
    equal(await under('packages/one/DEL-01-01_A'), both.slice(0, 1))
    equal(await under('nowhere'), [])
    is((await under('.')).length, 3)
    is((await ledger.locks.list()).length, 4)
    rmSync(inside.path, { recursive: true })
    equal(await under('packages/one/DEL-01-01_A'), both.slice(0, 1))
  }),
)

listing(
  'status says held, orphan with its reason, and free',
  scene(async ({ ledger, acquire, clock }) => {
    const lease = await acquire()
    const status = async () => {
      const { state, orphan_reason, lease_remaining_s, holder_alive, folder } = await ledger.locks.status(lease.name)
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
