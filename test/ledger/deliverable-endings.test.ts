import { linkSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { contentOf, foreignText, refusalOf, stamp } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { type Scene, scene } from '../support/scene.ts'

const minute = 60_000
const lock_id = 'lck_0123456789abcdef'
const otherActor = { actor_id: 'agent-2', actor_type: 'agent' } as const

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

for (const [what, { swap, found }] of Object.entries(swaps)) {
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
      const guarded = ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }], guard })
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
    const size = (await ledger.head.get()).size
    const second = await ledger.locks.release({ lock_id })
    equal([second.replayed, second.outcome, second.released], [true, 'failure', first.released])
    is((await ledger.head.get()).size, size)
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
  'a file that is gone does not end the grant: the release stands',
  scene(async ({ ledger, acquire, lock, clock, path }) => {
    await acquire({ lock_id })
    unlinkSync(lock)
    is((await ledger.locks.release({ lock_id })).late, false)
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
