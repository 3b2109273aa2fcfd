import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { deadHolder, foreignText } from '../support/deliverable.ts'
import { entriesOf } from '../support/entries.ts'
import { scene } from '../support/scene.ts'

const minute = 60_000
const lock_id = 'lck_0123456789abcdef'

const locksIn = (folder: string) => readdirSync(folder).filter((file) => file.startsWith('.lock'))

const opening = suite('what an open finds of a crash')

/** A scene whose ledger was closed, its folder left as a crash would leave it, and opened again. */
const crashed = (
  leave: (at: { path: string; lock: string; origin: string; claims: string; current: string }) => void,
  expected: string[],
  check: (at: { lock: string; text: string }) => void = () => {},
) =>
  scene(async (stage) => {
    const { acquire, path, lock, root } = stage
    const lease = await acquire()
    const text = readFileSync(lock, 'utf8')
    const claims = join(root, '.lockstep/claims')
    leave({ path, lock, claims, origin: (await stage.ledger.head.get()).origin, current: lease.lock_ref })
    writeFileSync(join(claims, 'a'.repeat(16)), path)
    await stage.reopen()
    equal(locksIn(path), expected)
    equal(readdirSync(claims), [])
    check({ lock, text })
  })

opening(
  'a temporary goes',
  crashed(
    ({ path }) => writeFileSync(join(path, `.lock.${'a'.repeat(16)}.tmp`), 'cut'),
    ['.lock'],
    ({ lock, text }) => is(readFileSync(lock, 'utf8'), text),
  ),
)

opening(
  'a claim that became no grant goes, and what it had set aside is as before',
  crashed(
    ({ path, lock, origin }) => {
      renameSync(lock, join(path, '.lock.aside.nonce'))
      writeFileSync(lock, foreignText({ ledger: origin, lock_ref: 'a'.repeat(16) }))
    },
    ['.lock'],
    ({ lock, text }) => is(readFileSync(lock, 'utf8'), text),
  ),
)

opening(
  'a grant’s file that was set aside and not put back is put back',
  crashed(
    ({ path, lock }) => renameSync(lock, join(path, '.lock.aside.nonce')),
    ['.lock'],
    ({ lock, text }) => is(readFileSync(lock, 'utf8'), text),
  ),
)

opening(
  'an aside of this ledger that is no current grant’s goes',
  crashed(
    ({ path, origin }) => {
      writeFileSync(join(path, '.lock.aside.nonce'), foreignText({ ledger: origin, lock_ref: 'b'.repeat(16) }))
    },
    ['.lock'],
    ({ lock, text }) => is(readFileSync(lock, 'utf8'), text),
  ),
)

opening(
  'an orphan’s file that its take-over recorded goes, and is not recovered twice',
  scene(async (stage) => {
    const { acquire, path, lock, root } = stage
    const orphan = foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00.000Z' })
    writeFileSync(lock, orphan)
    const size = (await stage.ledger.head.get()).size
    const lease = await acquire()
    writeFileSync(join(path, '.lock.aside.nonce'), orphan)
    writeFileSync(join(root, '.lockstep/claims', lease.lock_ref), `${size} ${path}`)
    const ledger = await stage.reopen()
    equal(locksIn(path), ['.lock'])
    ok(readFileSync(lock, 'utf8').includes(lease.lock_ref))
    is((await entriesOf(ledger)).filter(({ type }) => type === 'lock.recovered').length, 1)
  }),
)

opening(
  'the file of a grant that was released, left aside by its removal, goes',
  scene(async (stage) => {
    const { acquire, path, lock } = stage
    await acquire({ lock_id })
    const text = readFileSync(lock, 'utf8')
    await stage.ledger.locks.release({ lock_id })
    writeFileSync(join(path, '.lock.aside.nonce'), text)
    await stage.reopen()
    equal(locksIn(path), [])
  }),
)

opening(
  'notes of folders that are gone, governed elsewhere or none at all are dropped',
  scene(async (stage) => {
    const { root } = stage
    const claims = join(root, '.lockstep/claims')
    const notes = { a: join(root, 'nowhere'), b: '/', c: '', d: '\0', e: root, f: 'x'.repeat(100_000) }
    for (const [note, content] of Object.entries(notes)) writeFileSync(join(claims, note), content)
    await stage.reopen()
    equal(readdirSync(claims), [])
  }),
)

opening(
  'a folder whose files cannot be reached keeps its note, and the ledger opens all the same',
  scene(async (stage) => {
    const { lock, path, root } = stage
    symlinkSync('nowhere', lock)
    const note = join(root, '.lockstep/claims', 'a'.repeat(16))
    writeFileSync(note, path)
    await stage.reopen()
    ok(existsSync(note))
    unlinkSync(lock)
    await stage.reopen()
    not(existsSync(note))
  }),
)

opening(
  'a missing folder of notes is made again: Git keeps no empty folders',
  scene(async (stage) => {
    rmSync(join(stage.root, '.lockstep/claims'), { recursive: true })
    await stage.reopen()
    await stage.acquire()
    equal(readdirSync(join(stage.root, '.lockstep/claims')), [])
  }),
)

opening(
  'an expired claim of a crash does not keep others from the lock',
  scene(async (stage) => {
    const { acquire, clock, lock } = stage
    await acquire()
    clock.advance(10 * minute)
    await stage.reopen()
    const lease = await stage.acquire({ holder: 'agent-2' })
    ok(readFileSync(lock, 'utf8').includes(lease.lock_ref))
  }),
)

opening.run()
