import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { contentOf, deadHolder, foreignText, makeDeliverable, refusalOf, startHolder } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

const minute = 60_000
const name = 'deliverable:DEL-08-05'
const authority = { actor_id: 'BECCA', actor_type: 'human' } as const
const operator = { actor_id: 'ann', actor_type: 'human' } as const
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const

const recovering = suite('recovering by hand')

recovering(
  'an orphan: the same event as an automatic recovery, with mode and reason; its file goes (REQ-LOCK-006)',
  scene(async ({ ledger, acquire, clock, path }) => {
    const before = contentOf(path)
    const lease = await acquire()
    clock.advance(10 * minute)
    const recovered = await ledger.locks.recover({ name, reason: 'agent host was replaced', actor: other })
    equal(recovered, {
      name,
      previous_holder: 'agent-1',
      previous_token: lease.token,
      recovery_reason: 'lease_expired',
      seq: ledger.head().size - 1,
      dry_run: false,
      files: 'current',
    })
    const { data } = await lastOf(ledger, 'lock.recovered')
    equal(data, {
      by: 'agent-2',
      mode: 'manual',
      name,
      previous_acquired: lease.acquired,
      previous_holder: 'agent-1',
      previous_token: lease.token,
      reason: 'agent host was replaced',
      recovery_reason: 'lease_expired',
    })
    equal(contentOf(path), before)
    await acquire({ holder: 'agent-2' })
    clock.advance(10 * minute)
    await acquire({ holder: 'agent-3' })
    equal(Object.keys((await lastOf(ledger, 'lock.recovered')).data), Object.keys(data))
  }),
)

recovering(
  'a dead holder, before its lease is over',
  scene(async ({ ledger, acquire, path }) => {
    const holder = startHolder()
    await acquire({ pids: [holder.pid] })
    await holder.kill()
    is((await ledger.locks.recover({ name, reason: 'killed' })).recovery_reason, 'pid_dead')
    not('.lock' in contentOf(path))
  }),
)

recovering(
  'a live holder is never recovered, nor a free lock: LOCK_NOT_ORPHAN, and nothing changes',
  scene(async ({ ledger, acquire, path }) => {
    const lease = await acquire()
    const before = contentOf(path)
    const size = ledger.head().size
    const { code, details } = await refusalOf(ledger.locks.recover({ name, reason: 'x', actor: authority }))
    equal([code, details.holder, details.token], ['LOCK_NOT_ORPHAN', 'agent-1', lease.token])
    equal(contentOf(path), before)
    is(ledger.head().size, size)
    await lease.release()
    is((await refusalOf(ledger.locks.recover({ name, reason: 'x' }))).code, 'LOCK_NOT_ORPHAN')
  }),
)

recovering(
  'without a reason is INVALID_INPUT',
  scene(async ({ ledger, acquire, clock }) => {
    await acquire()
    clock.advance(10 * minute)
    for (const reason of [undefined, '', ' \n'])
      is((await refusalOf(() => ledger.locks.recover({ name, reason } as never))).code, 'INVALID_INPUT')
  }),
)

for (const [what, content] of Object.entries({ empty: '', cut: '{"holder": "x', 'not JSON': 'LOCKED by me' })) {
  recovering(
    `a file that is ${what} is moved aside by recover alone, and that is recorded`,
    scene(async ({ ledger, acquire, lock, path }) => {
      writeFileSync(lock, content)
      await refusalOf(acquire())
      const types = await typesAppended(ledger, () =>
        ledger.locks.recover({ name, folder: path, reason: 'cut by a crash of another tool' }),
      )
      equal(types, ['lock.recovered'])
      const { data } = await lastOf(ledger, 'lock.recovered')
      equal(
        [data.recovery_reason, data.previous_holder, data.previous_acquired, data.previous_token, data.mode],
        ['unreadable', 'unreadable', null, null, 'manual'],
      )
      not(Object.keys(contentOf(path)).some((file) => file.startsWith('.lock')))
      await acquire()
    }),
  )
}

recovering(
  'another tool’s orphan, which nobody has to acquire over',
  scene(async ({ ledger, lock, path }) => {
    writeFileSync(lock, foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' }))
    const { previous_holder, recovery_reason } = await ledger.locks.recover({ name, folder: path, reason: 'x' })
    equal([previous_holder, recovery_reason], ['foreign-tool', 'pid_dead'])
    not('.lock' in contentOf(path))
  }),
)

recovering(
  'a lock by the folder of another is LOCK_PLACEMENT, and that folder is left alone',
  scene(async ({ ledger, root, acquire, clock }) => {
    const twin = makeDeliverable(root, 'DEL-08-06_Other')
    writeFileSync(twin.lock, '')
    await acquire()
    clock.advance(10 * minute)
    const before = contentOf(root)
    is((await refusalOf(ledger.locks.recover({ name, folder: twin.path, reason: 'x' }))).code, 'LOCK_PLACEMENT')
    is(contentOf(root)['DEL-08-06_Other/.lock'], before['DEL-08-06_Other/.lock'])
    const twinName = { name: 'deliverable:DEL-08-06', reason: 'x' }
    is((await refusalOf(ledger.locks.recover(twinName))).code, 'NOT_FOUND')
    is((await ledger.locks.recover({ ...twinName, folder: twin.path })).recovery_reason, 'unreadable')
  }),
)

recovering(
  'whose folder has vanished ends the grant',
  scene(async ({ ledger, acquire, clock, path }) => {
    await acquire()
    clock.advance(10 * minute)
    rmSync(path, { recursive: true })
    is((await ledger.locks.recover({ name, reason: 'folder is gone' })).recovery_reason, 'lease_expired')
    is((await ledger.locks.status(name)).state, 'free')
  }),
)

recovering.run()

const preview = suite('recover --dry-run')

preview(
  'shows evidence and verdict for an orphan, a live holder and a free lock, and changes nothing',
  scene(async ({ ledger, acquire, clock, path, root }) => {
    const lease = await acquire()
    const look = async () => {
      const before = contentOf(path)
      const size = ledger.head().size
      const { status, seq, dry_run, ...facts } = await ledger.locks.recover({ name, reason: 'x', dry_run: true })
      equal([seq, dry_run], [null, true])
      equal(contentOf(path), before)
      is(ledger.head().size, size)
      return { state: status?.state, pids: status?.pids, alive: status?.holder_alive, ...facts }
    }
    const facts = { name, previous_holder: 'agent-1', previous_token: lease.token, pids: [process.pid], alive: 'yes' }
    equal(await look(), { ...facts, state: 'held', recovery_reason: null })
    clock.advance(10 * minute)
    equal(await look(), { ...facts, state: 'orphan', recovery_reason: 'lease_expired' })
    await lease.release()
    const free = { name, state: 'free', pids: undefined, alive: undefined }
    equal(await look(), { ...free, previous_holder: null, previous_token: null, recovery_reason: null })
    const unknown = { name: 'deliverable:DEL-08-06', reason: 'x', dry_run: true }
    is((await refusalOf(ledger.locks.recover(unknown))).code, 'NOT_FOUND')
    const folder = makeDeliverable(root, 'DEL-08-06_Other').path
    is((await refusalOf(ledger.locks.recover({ ...unknown, folder }))).code, 'NOT_FOUND')
  }),
)

for (const [what, content, expected] of [
  ['another tool’s orphan', deadHolder(), ['orphan', 'foreign-tool', 'pid_dead']],
  ['another tool’s valid lock', {}, ['held', 'foreign-tool', null]],
  ['a file of an unknown version', { schema_version: '2.0' }, ['held', 'unreadable', null]],
  ['an unreadable file', 'cut', ['orphan', 'unreadable', 'unreadable']],
] as const) {
  preview(
    `shows ${what} in a folder that the ledger does not know`,
    scene(async ({ ledger, lock, path, clock }) => {
      const acquired = new Date(clock.now().wall_ms).toISOString()
      writeFileSync(lock, typeof content === 'string' ? content : foreignText({ acquired, ...content }))
      const before = lstatSync(lock, { bigint: true }).mtimeNs
      const size = ledger.head().size
      const shown = await ledger.locks.recover({ name, folder: path, reason: 'x', dry_run: true })
      equal([shown.status?.state, shown.previous_holder, shown.recovery_reason], [...expected])
      is(lstatSync(lock, { bigint: true }).mtimeNs, before)
      is(ledger.head().size, size)
    }),
  )
}

preview.run()

const breaking = suite('breaking a grant')

breaking(
  'is for the release authority or an operator: an event of its own, the file removed, the token stale',
  scene(
    async ({ ledger, acquire, path }) => {
      for (const actor of [authority, operator]) {
        const lease = await acquire()
        const types = await typesAppended(ledger, async () => {
          const broken = await ledger.locks.break({ name, reason: 'agent hangs', actor })
          equal([broken.previous_holder, broken.previous_token, broken.files], ['agent-1', lease.token, 'current'])
        })
        equal(types, ['lock.broken'])
        const { data } = await lastOf(ledger, 'lock.broken')
        equal(data, {
          by: actor.actor_id,
          name,
          previous_acquired: lease.acquired,
          previous_holder: 'agent-1',
          previous_token: lease.token,
          reason: 'agent hangs',
        })
        not('.lock' in contentOf(path))
        is((await refusalOf(lease.renew())).code, 'STALE_TOKEN')
        is((await refusalOf(lease.release())).code, 'LOCK_NOT_HELD')
      }
    },
    { config: { operators: ['ann'] } },
  ),
)

breaking(
  'by anyone else is RELEASE_DENIED, recorded, and the holder keeps lock and file',
  scene(async ({ ledger, acquire, lock }) => {
    const lease = await acquire()
    const before = readFileSync(lock, 'utf8')
    const types = await typesAppended(ledger, async () => {
      is((await refusalOf(ledger.locks.break({ name, reason: 'x', actor: other }))).code, 'RELEASE_DENIED')
    })
    equal(types, ['lock.refused'])
    const { data } = await lastOf(ledger, 'lock.refused')
    equal([data.code, data.command], ['RELEASE_DENIED', 'lock.break'])
    is(readFileSync(lock, 'utf8'), before)
    await lease.renew()
  }),
)

breaking(
  'needs a reason, and somebody who holds it',
  scene(async ({ ledger, acquire }) => {
    await acquire()
    for (const reason of [undefined, ''])
      is((await refusalOf(() => ledger.locks.break({ name, reason, actor: authority } as never))).code, 'INVALID_INPUT')
    await ledger.locks.break({ name, reason: 'x', actor: authority })
    is((await refusalOf(ledger.locks.break({ name, reason: 'x', actor: authority }))).code, 'LOCK_NOT_HELD')
  }),
)

breaking.run()

const retiring = suite('retiring a folder')

retiring(
  'is refused while a grant is current, and nothing changes (REQ-LOCK-012)',
  scene(async ({ ledger, acquire, path }) => {
    await acquire()
    const before = contentOf(path)
    const size = ledger.head().size
    const { code, details } = await refusalOf(ledger.locks.retire({ folder: path, reason: 'archived' }))
    equal([code, details.holder], ['LOCK_IS_HELD', 'agent-1'])
    equal(contentOf(path), before)
    is(ledger.head().size, size)
  }),
)

retiring(
  'recovers an orphan on the way, removes its file and is recorded; the name is free for another folder',
  scene(async ({ ledger, acquire, clock, path, root }) => {
    await acquire()
    clock.advance(10 * minute)
    const types = await typesAppended(ledger, async () => {
      const retired = await ledger.locks.retire({ folder: path, reason: 'archived' })
      equal(retired, { name, folder: 'DEL-08-05_Lock', recovered: true })
    })
    equal(types, ['lock.recovered', 'lock.retired'])
    const { data } = await lastOf(ledger, 'lock.retired')
    equal(data, { by: 'agent-1', folder: 'DEL-08-05_Lock', name, reason: 'archived' })
    not('.lock' in contentOf(path))
    renameSync(path, join(root, 'DEL-08-05_Moved'))
    is((await acquire({ folder: join(root, 'DEL-08-05_Moved') })).folder, 'DEL-08-05_Moved')
  }),
)

retiring(
  'again is answered by the first',
  scene(async ({ ledger, acquire, path }) => {
    await (await acquire()).release()
    await ledger.locks.retire({ folder: path })
    equal(await typesAppended(ledger, () => ledger.locks.retire({ folder: path })), [])
  }),
)

retiring(
  'closes the lock of a folder that has vanished, once nobody holds it',
  scene(async ({ ledger, acquire, clock, path }) => {
    await acquire()
    rmSync(path, { recursive: true })
    is((await refusalOf(ledger.locks.retire({ folder: path }))).code, 'LOCK_IS_HELD')
    is((await refusalOf(acquire({ holder: 'agent-2' }))).code, 'NOT_FOUND')
    clock.advance(10 * minute)
    is((await ledger.locks.retire({ folder: path })).recovered, true)
  }),
)

retiring(
  'a folder that vanishes for a moment keeps its grant',
  scene(async ({ ledger, acquire, path }) => {
    const lease = await acquire()
    renameSync(path, `${path}.gone`)
    is((await ledger.locks.status(name)).state, 'held')
    renameSync(`${path}.gone`, path)
    await lease.renew()
    await lease.release()
  }),
)

retiring(
  'recovers what another tool’s dead holder or a crash left in the folder, and is held up by what it cannot judge',
  scene(async ({ ledger, lock, path }) => {
    const ours = { ledger: ledger.head().origin, lock_ref: 'f'.repeat(16) }
    for (const [facts, reason] of [
      [{ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' }, 'pid_dead'],
      [ours, 'unrecorded'],
    ] as const) {
      writeFileSync(lock, foreignText(facts))
      const types = await typesAppended(ledger, async () => {
        is((await ledger.locks.retire({ folder: path, reason: 'moved' })).recovered, true)
      })
      equal(types.slice(0, 1), ['lock.recovered'])
      const { data } = await lastOf(ledger, 'lock.recovered')
      equal([data.recovery_reason, data.reason], [reason, 'moved'])
      not('.lock' in contentOf(path))
    }
    writeFileSync(lock, 'cut')
    is((await refusalOf(ledger.locks.retire({ folder: path }))).code, 'LOCK_IS_HELD')
    is(readFileSync(lock, 'utf8'), 'cut')
  }),
)

retiring(
  'a folder that was never locked is recorded as well, and one that is none is refused',
  scene(async ({ ledger, path, root }) => {
    equal(await typesAppended(ledger, () => ledger.locks.retire({ folder: path })), ['lock.retired'])
    is((await refusalOf(ledger.locks.retire({ folder: join(root, 'nowhere') }))).code, 'NOT_FOUND')
    mkdirSync(join(root, 'notes'))
    is((await refusalOf(ledger.locks.retire({ folder: join(root, 'notes') }))).code, 'LOCK_PLACEMENT')
  }),
)

retiring.run()

const history = suite('the history of a deliverable')

history(
  'says who held it, when, and why each ended, newest first',
  scene(async ({ ledger, acquire, clock, path }) => {
    await (await acquire({ holder: 'first' })).release('failure')
    await acquire({ holder: 'second' })
    clock.advance(10 * minute)
    await acquire({ holder: 'third' })
    await ledger.locks.break({ name, reason: 'stuck', actor: authority })
    await ledger.locks.retire({ folder: path })
    const told = (await ledger.locks.history(name)).map(
      ({ type, data }) =>
        `${type} ${data.holder ?? data.previous_holder ?? ''} ${data.outcome ?? data.recovery_reason ?? ''}`,
    )
    equal(told, [
      'lock.retired  ',
      'lock.broken third ',
      'lock.acquired third ',
      'lock.recovered second lease_expired',
      'lock.acquired second ',
      'lock.released first failure',
      'lock.acquired first ',
    ])
    ok((await ledger.locks.history(name, { limit: 2 })).length === 2)
  }),
)

history.run()
