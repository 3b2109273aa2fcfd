import { cpSync, linkSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { contentionFields, refusalOf } from '../support/deliverable.ts'
import { scene } from '../support/scene.ts'

const moved = suite('a folder that is moved while it is held')

/** Where the folder goes: its name begins with another id. */
const elsewhere = (root: string) => join(root, 'DEL-09-09_Renamed')

moved(
  'is contention under its new name, with the holder, until the grant is over',
  scene(async ({ ledger, acquire, clock, path, root }) => {
    const held = await acquire({ holder: 'first' })
    const folder = elsewhere(root)
    renameSync(path, folder)
    const before = readFileSync(join(folder, '.lock'), 'utf8')
    const refused = await refusalOf(acquire({ folder, holder: 'second' }))
    is(refused.code, 'LOCK_CONTENTION')
    equal([refused.details.holder, refused.details.token, refused.details.held_name], ['first', held.token, held.name])
    for (const field of contentionFields) is(field in refused.details, true, field)
    is((await refusalOf(ledger.locks.retire({ folder }))).code, 'LOCK_IS_HELD')
    const recover = { name: 'deliverable:DEL-09-09', folder, reason: 'x' }
    is((await refusalOf(ledger.locks.recover(recover))).code, 'LOCK_NOT_ORPHAN')
    is(readFileSync(join(folder, '.lock'), 'utf8'), before)
    clock.advance(600_000)
    is((await acquire({ folder, holder: 'second' })).holder, 'second')
  }),
)

moved(
  'keeps its file where an acquire under its new name ended in a crash',
  scene(async ({ acquire, path, reopen, root }) => {
    const held = await acquire({ holder: 'first' })
    const folder = elsewhere(root)
    renameSync(path, folder)
    const before = readFileSync(join(folder, '.lock'), 'utf8')
    // The note of that acquire.
    writeFileSync(join(root, '.lockstep/claims/0123456789abcdef'), `2 ${folder}`)
    await reopen()
    is(readFileSync(join(folder, '.lock'), 'utf8'), before)
    const refused = await refusalOf(acquire({ folder, holder: 'second' }))
    equal([refused.code, refused.details.token], ['LOCK_CONTENTION', held.token])
  }),
)

moved(
  'is contention as well where it stays and its execution root gets a prefix',
  scene(async ({ acquire, reopen, root }) => {
    const held = await acquire({ holder: 'first' })
    writeFileSync(
      join(root, '.lockstep/config.json'),
      JSON.stringify({ execution_roots: { [String(held.folder)]: 'alpha' } }),
    )
    await reopen()
    const refused = await refusalOf(acquire({ holder: 'second' }))
    equal([refused.code, refused.details.token], ['LOCK_CONTENTION', held.token])
  }),
)

moved(
  'is contention where it is seen by another name as well: the file is the very same',
  scene(async ({ acquire, lock, root }) => {
    await acquire({ holder: 'first' })
    mkdirSync(elsewhere(root))
    // What a bind mount shows, without one.
    linkSync(lock, join(elsewhere(root), '.lock'))
    const refused = await refusalOf(acquire({ folder: elsewhere(root), holder: 'second' }))
    equal([refused.code, refused.details.holder], ['LOCK_CONTENTION', 'first'])
  }),
)

moved(
  'and a copy of it are two: the copy has a file that is debris',
  scene(async ({ acquire, path, root }) => {
    const held = await acquire({ holder: 'first' })
    cpSync(path, elsewhere(root), { recursive: true })
    is((await acquire({ folder: elsewhere(root), holder: 'second' })).holder, 'second')
    await held.renew()
  }),
)

moved.run()
