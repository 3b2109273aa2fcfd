import { readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import fsPromises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Store } from '../../src/log/keyed/store.ts'
import {
  contentionFields,
  contentOf,
  deadHolder,
  foreignText,
  makeDeliverable,
  refusalOf,
} from '../support/deliverable.ts'
import { entriesOf, lastOf, typesAppended } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

const lock_id = 'lck_0123456789abcdef'
const name = 'deliverable:DEL-08-05'

/** A store that does something of ours at a write: instead of it, before it or after it. */
function tamperingStore() {
  const tamper: { at: 'before' | 'after'; once: (() => void) | undefined } = { at: 'before', once: undefined }
  const run = (at: 'before' | 'after') => {
    const { once } = tamper
    if (tamper.at !== at || once === undefined) return
    tamper.once = undefined
    once()
  }
  const wrapStore = (store: Store): Store => ({
    ...store,
    write: async (batch) => {
      run('before')
      await store.write(batch)
      run('after')
    },
  })
  return { tamper, wrapStore }
}

/** Lets calls of the operating system fail with a code while the work is done, for paths that match. */
async function withFailing(
  call: 'link' | 'open' | 'rename' | 'unlink',
  { code, matching }: { code: string; matching: RegExp },
  work: () => Promise<void>,
): Promise<void> {
  const original = fsPromises[call] as (...words: unknown[]) => Promise<unknown>
  const failing = (...words: unknown[]) =>
    words.some((word) => typeof word === 'string' && matching.test(word))
      ? Promise.reject(Object.assign(new Error(`${code} by the test`), { code }))
      : original(...words)
  Object.assign(fsPromises, { [call]: failing })
  syncBuiltinESMExports()
  try {
    await work()
  } finally {
    Object.assign(fsPromises, { [call]: original })
    syncBuiltinESMExports()
  }
}

const locksIn = (folder: string) => readdirSync(folder).filter((file) => file.startsWith('.lock'))

const lost = suite('a lock that another tool takes right after it was claimed')

for (const [what, take] of Object.entries({
  'by unlinking it and making its own': (lock: string) => {
    unlinkSync(lock)
    writeFileSync(lock, foreignText())
  },
  'by writing over it': (lock: string) => writeFileSync(lock, foreignText()),
  'by renaming its own over it': (lock: string) => {
    writeFileSync(`${lock}.theirs`, foreignText())
    renameSync(`${lock}.theirs`, lock)
  },
})) {
  const { tamper, wrapStore } = tamperingStore()
  lost(
    `${what}: lock.lost is recorded, and the caller told of contention with every field`,
    scene(
      async ({ ledger, acquire, lock, path }) => {
        tamper.once = () => take(lock)
        const types = await typesAppended(ledger, async () => {
          const { code, details } = await refusalOf(acquire())
          is(code, 'LOCK_CONTENTION')
          for (const field of contentionFields) ok(field in details, field)
          is(details.holder, 'foreign-tool')
        })
        equal(types, ['lock.acquired', 'lock.lost'])
        const { data } = await lastOf(ledger, 'lock.lost')
        equal([data.holder, data.token], ['agent-1', (await ledger.head.get()).size - 2])
        const { holder, token } = await ledger.locks.status({ name })
        equal([holder, token], ['foreign-tool', undefined])
        equal(locksIn(path), ['.lock'])
      },
      { wrapStore },
    ),
  )
}

const again = tamperingStore()
lost(
  'the same acquisition may be tried again, and is granted once the lock is free',
  scene(
    async ({ acquire, lock }) => {
      again.tamper.once = () => writeFileSync(lock, foreignText())
      is((await refusalOf(acquire({ lock_id }))).code, 'LOCK_CONTENTION')
      unlinkSync(lock)
      const lease = await acquire({ lock_id })
      equal([lease.replayed, lease.current], [false, true])
      await lease.release()
    },
    { wrapStore: again.wrapStore },
  ),
)

lost.run()

const conflicts = suite('two files that claim one place')

conflicts(
  'are both kept and recorded as lock.conflict, and nobody gets the lock',
  scene(async ({ ledger, acquire, lock, path }) => {
    writeFileSync(lock, foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' }))
    const original = fsPromises.rename
    let isFirst = true
    // Between our look and our rename another tool writes; between rename and put-back a second one does.
    Object.assign(fsPromises, {
      rename: async (from: string, to: string) => {
        if (isFirst) writeFileSync(lock, foreignText({ holder: 'second' }))
        await original(from, to)
        if (isFirst) writeFileSync(lock, foreignText({ holder: 'third' }))
        isFirst = false
      },
    })
    syncBuiltinESMExports()
    try {
      const types = await typesAppended(ledger, async () => {
        const { code, details } = await refusalOf(acquire())
        equal([code, details.holder], ['LOCK_CONTENTION', 'third'])
        for (const field of contentionFields) ok(field in details, field)
      })
      equal(types, ['lock.conflict'])
    } finally {
      Object.assign(fsPromises, { rename: original })
      syncBuiltinESMExports()
    }
    const { data } = await lastOf(ledger, 'lock.conflict')
    ok(String(data.aside_content).includes('"second"'))
    ok(String(data.found_content).includes('"third"'))
    equal([data.name, locksIn(path).length], [name, 2])
    ok(readFileSync(String(data.aside), 'utf8').includes('second'))
    ok(readFileSync(lock, 'utf8').includes('third'))
  }),
)

conflicts(
  'at a release as well; the release stands',
  scene(async ({ ledger, acquire, lock, path }) => {
    await acquire({ lock_id })
    const original = fsPromises.rename
    let isFirst = true
    Object.assign(fsPromises, {
      rename: async (from: string, to: string) => {
        if (isFirst) {
          unlinkSync(lock)
          writeFileSync(lock, foreignText({ holder: 'second' }))
        }
        await original(from, to)
        if (isFirst) writeFileSync(lock, foreignText({ holder: 'third' }))
        isFirst = false
      },
    })
    syncBuiltinESMExports()
    try {
      const types = await typesAppended(ledger, () => ledger.locks.release({ lock_id }))
      equal(types, ['lock.released', 'lock.conflict'])
    } finally {
      Object.assign(fsPromises, { rename: original })
      syncBuiltinESMExports()
    }
    equal(locksIn(path).length, 2)
    is((await ledger.locks.status({ name })).token, undefined)
  }),
)

conflicts(
  'files of other tools that come and go all the time are contention in the end',
  scene(async ({ ledger, acquire, lock }) => {
    const orphan = () => writeFileSync(lock, foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' }))
    orphan()
    const original = fsPromises.rename
    Object.assign(fsPromises, {
      rename: async (from: string, to: string) => {
        orphan()
        await original(from, to)
      },
    })
    syncBuiltinESMExports()
    try {
      const { code, details } = await refusalOf(acquire())
      is(code, 'LOCK_CONTENTION')
      for (const field of contentionFields) ok(field in details, field)
    } finally {
      Object.assign(fsPromises, { rename: original })
      syncBuiltinESMExports()
    }
    is((await entriesOf(ledger)).filter(({ type }) => type === 'lock.acquired').length, 0)
  }),
)

conflicts.run()

const refusals = suite('a claim that cannot be made')

for (const [call, code, expected] of [
  ['link', 'ENOTSUP', 'LINK_UNSUPPORTED'],
  ['link', 'EPERM', 'LINK_UNSUPPORTED'],
  ['open', 'EACCES', 'FILE_DENIED'],
  ['open', 'EROFS', 'FILE_READ_ONLY'],
  ['open', 'ENOSPC', 'DISK_FULL'],
  ['open', 'EIO', 'FILE_FAILED'],
] as const) {
  refusals(
    `${call}() says ${code}: ${expected}, nothing appended, and another tool's orphan is back in its place`,
    scene(async ({ ledger, acquire, lock, path, root }) => {
      writeFileSync(lock, foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' }))
      const before = contentOf(path)
      const size = (await ledger.head.get()).size
      await withFailing(call, { code, matching: /\.tmp$/ }, async () => {
        is((await refusalOf(acquire())).code, expected)
      })
      equal(contentOf(path), before)
      is((await ledger.head.get()).size, size)
      equal(readdirSync(join(root, '.lockstep/claims')), [])
      await acquire()
    }),
  )
}

refusals(
  'a file that may not be read is neither free nor stale',
  scene(async ({ ledger, acquire, lock }) => {
    writeFileSync(lock, foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' }))
    const size = (await ledger.head.get()).size
    await withFailing('open', { code: 'EACCES', matching: /\/\.lock$/ }, async () => {
      is((await refusalOf(acquire())).code, 'FILE_DENIED')
    })
    ok(readFileSync(lock, 'utf8').includes('foreign-tool'))
    is((await ledger.head.get()).size, size)
  }),
)

refusals.run()

const pending = suite('a removal that fails')

for (const [call, code] of [
  ['rename', 'EACCES'],
  ['rename', 'EROFS'],
  ['unlink', 'EIO'],
  ['open', 'EACCES'],
] as const) {
  pending(
    `(${call}: ${code}) leaves the release valid and says files: pending; what asks next finishes it`,
    scene(async (stage) => {
      const { acquire, path } = stage
      const before = contentOf(path)
      await acquire({ lock_id })
      await withFailing(call, { code, matching: /\/\.lock(?:\.aside\..*)?$/ }, async () => {
        const released = await stage.ledger.locks.release({ lock_id })
        is(released.files, 'pending')
        const isFree = await stage.ledger.locks.status({ name }).then(
          ({ state }) => state === 'free',
          () => false,
        )
        is(isFree, call === 'unlink')
        ok(locksIn(path).length === 1)
      })
      const ledger = await stage.reopen()
      equal(contentOf(path), before)
      equal((await entriesOf(ledger)).map(({ type }) => type).slice(1), ['lock.acquired', 'lock.released'])
    }),
  )
}

pending(
  'of one folder does not hold up those of others',
  scene(async (stage) => {
    const { acquire, path, root } = stage
    const other = makeDeliverable(root, 'DEL-08-06_Other')
    await acquire({ lock_id })
    await acquire({ lock_id: `${lock_id}2`, folder: other.path })
    await withFailing('rename', { code: 'EACCES', matching: /\/\.lock$/ }, async () => {
      for (const id of [lock_id, `${lock_id}2`])
        is((await stage.ledger.locks.release({ lock_id: id })).files, 'pending')
    })
    await withFailing('rename', { code: 'EACCES', matching: /DEL-08-05.*\/\.lock$/ }, async () => {
      await stage.reopen()
      equal([locksIn(path).length, locksIn(other.path).length], [1, 0])
    })
    await stage.reopen()
    equal(locksIn(path), [])
  }),
)

pending.run()

const outcomes = suite('a write that fails under a claim')

const failed = tamperingStore()
outcomes(
  'before it persists: LEDGER_UNAVAILABLE, outcome unknown; the next open finds no grant and removes the file',
  scene(
    async (stage) => {
      const { acquire, path, root } = stage
      failed.tamper.at = 'before'
      failed.tamper.once = () => {
        throw new Error('the disk is gone')
      }
      const { code, details } = await refusalOf(acquire({ lock_id }))
      equal([code, details.outcome], ['LEDGER_UNAVAILABLE', 'unknown'])
      equal(locksIn(path), ['.lock'])
      is(readdirSync(join(root, '.lockstep/claims')).length, 1)
      const ledger = await stage.reopen()
      equal(locksIn(path), [])
      equal(readdirSync(join(root, '.lockstep/claims')), [])
      is((await entriesOf(ledger)).length, 1)
      is((await stage.acquire({ lock_id })).replayed, false)
    },
    { wrapStore: failed.wrapStore },
  ),
)

const persisted = tamperingStore()
outcomes(
  'after it persisted: the next open keeps grant and file, and a retry with the same lock_id finds them',
  scene(
    async (stage) => {
      const { acquire, path, lock } = stage
      writeFileSync(lock, foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00.000Z' }))
      persisted.tamper.at = 'after'
      persisted.tamper.once = () => {
        throw new Error('the answer is lost')
      }
      is((await refusalOf(acquire({ lock_id }))).details.outcome, 'unknown')
      const ledger = await stage.reopen()
      equal(locksIn(path), ['.lock'])
      const lease = await stage.acquire({ lock_id })
      equal([lease.replayed, lease.current], [true, true])
      ok(readFileSync(lock, 'utf8').includes(lease.lock_ref))
      await ledger.locks.release({ lock_id })
      await stage.acquire({ holder: 'agent-2' })
      const recovered = (await entriesOf(ledger)).filter(({ type }) => type === 'lock.recovered')
      is(recovered.length, 1)
    },
    { wrapStore: persisted.wrapStore },
  ),
)

outcomes.run()
