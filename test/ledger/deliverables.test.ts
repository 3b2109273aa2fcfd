import { lstatSync, readFileSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import { deadPid, foreignText, grantFields, makeDeliverable, refusalOf, stamp } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

const minute = 60_000
const lock_id = 'lck_0123456789abcdef'
const otherActor = { actor_id: 'agent-2', actor_type: 'agent' } as const

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
      ledger: (await ledger.head.get()).origin,
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
    is(token, (await ledger.head.get()).size - 1)
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
    const size = (await ledger.head.get()).size
    const { code, details, retryable } = await refusalOf(acquire({ holder: 'agent-2' }))
    is(code, 'LOCK_CONTENTION')
    is(retryable, true)
    equal(Object.keys(details).sort(), grantFields)
    const { host, ...facts } = details
    ok(typeof host === 'string' && host !== '')
    equal(facts, {
      name: 'deliverable:DEL-08-05',
      deliverable_id: 'DEL-08-05',
      holder: 'agent-1',
      lease_remaining_s: 510,
      contention_time: '2026-01-02T03:05:35.500Z',
      acquired: lease.acquired,
      held_since: lease.acquired,
      pid: process.pid,
      holder_alive: 'yes',
      lock_ref: lease.lock_ref,
      token: lease.token,
      retry_after_s: 60,
    })
    is(stamp(lock), before)
    is((await ledger.head.get()).size, size)
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
      const acquired = hold(ledger, { folder: path, holder: 'agent-1', lease_duration_s })
      is((await refusalOf(acquired)).code, 'INVALID_INPUT', String(lease_duration_s))
    }
    for (const lease_duration_s of [60, 3600, undefined]) {
      const lease = await hold(ledger, {
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
    const size = (await ledger.head.get()).size
    for (const pids of [[deadPid()], [process.pid, deadPid()], [2 ** 31 - 1]]) {
      is((await refusalOf(acquire({ pids }))).code, 'PID_NOT_FOUND')
    }
    equal(visible(), before)
    is((await ledger.head.get()).size, size)
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
    const size = (await ledger.head.get()).size
    const second = await acquire({ lock_id })
    equal([second.token, second.replayed, second.current], [first.token, true, true])
    is((await ledger.head.get()).size, size)
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
    const size = (await ledger.head.get()).size
    for (const [id, holder, token] of [
      [lock_id, 'agent-1', first.token],
      [`${lock_id}2`, 'agent-2', second.token],
    ] as const) {
      const replayed = await acquire({ lock_id: id, holder })
      equal([replayed.token, replayed.replayed, replayed.current], [token, true, false], id)
    }
    is((await ledger.head.get()).size, size)
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
