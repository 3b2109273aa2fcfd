import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { deadHolder, foreignText, makeDeliverable, refusalOf } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { type Scene, scene } from '../support/scene.ts'

const name = 'deliverable:DEL-08-05'
const folder = 'DEL-08-05_Lock'
const operator = { actor_id: 'ann', actor_type: 'human' } as const
const stranger = { actor_id: 'agent-9', actor_type: 'agent' } as const
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex')
/** A file that says that it is held by a living process until the next century. */
const hung = () => foreignText({ acquired: '2099-01-01T00:00:00Z' })
const config = { operators: ['ann'] }

const standing = suite('free only when neither grant nor file stands (REQ-LOCK-001)')

/** The folder was locked once, so that the ledger knows where it is. */
async function knownFolder({ acquire }: Scene): Promise<void> {
  await (await acquire()).release()
}

standing(
  'status by name and by folder, and the list, show the file of another tool',
  scene(async (stage) => {
    const { ledger, lock } = stage
    await knownFolder(stage)
    is((await ledger.locks.status({ name })).state, 'free')
    equal((await ledger.locks.list()).locks, [])
    writeFileSync(lock, hung())
    for (const status of [
      await ledger.locks.status({ name }),
      await ledger.locks.status({ folder }),
      ...(await ledger.locks.list()).locks,
      ...(await ledger.locks.list({ under: folder })).locks,
    ]) {
      equal([status.name, status.state, status.holder, status.folder], [name, 'held', 'foreign-tool', folder])
      equal([status.token, status.pids, status.holder_alive !== 'no'], [undefined, [process.pid], true])
    }
    is((await ledger.locks.list()).locks.length, 1)
    equal((await ledger.locks.list({ orphans: true })).locks, [])
  }),
)

standing(
  'a folder that the ledger does not know is looked at by status --folder and list --under',
  scene(async ({ ledger, lock, root }) => {
    is((await refusalOf(ledger.locks.status({ name }))).code, 'NOT_FOUND')
    const free = await ledger.locks.status({ folder })
    equal([free.name, free.state, free.last_seq], [name, 'free', null])
    equal((await ledger.locks.list({ under: root })).locks, [])
    writeFileSync(lock, foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' }))
    const found = await ledger.locks.status({ folder })
    equal([found.state, found.orphan_reason], ['orphan', 'pid_dead'])
    const other = makeDeliverable(root, 'packages/deep/KTY-A1-B2_Other')
    writeFileSync(other.lock, 'cut')
    const below = async (request: object) =>
      (await ledger.locks.list(request)).locks.map(({ name, state, holder }) => [name, state, holder])
    const cut = ['deliverable:KTY-A1-B2', 'orphan', 'unreadable']
    equal(await below({ under: root }), [[name, 'orphan', 'foreign-tool'], cut])
    equal(await below({ under: 'packages', orphans: true }), [cut])
    equal(await below({ under: folder }), [[name, 'orphan', 'foreign-tool']])
  }),
)

standing(
  'a link or a folder in place of the file keeps the lock from being free',
  scene(async (stage) => {
    const { ledger, lock } = stage
    await knownFolder(stage)
    for (const make of [() => symlinkSync('nowhere', lock), () => mkdirSync(lock)]) {
      make()
      const { state, holder } = await ledger.locks.status({ name })
      equal([state, holder], ['held', 'unreadable'])
      is((await ledger.locks.list()).locks.length, 1)
      rmSync(lock, { recursive: true })
    }
    is((await ledger.locks.status({ name })).state, 'free')
  }),
)

standing(
  'folders of another ledger, links and folders without an id are not searched',
  scene(async ({ ledger, root }) => {
    for (const path of ['nested/DEL-01-01_Own', 'plain/Notes']) {
      mkdirSync(join(root, path), { recursive: true })
      writeFileSync(join(root, path, '.lock'), hung())
    }
    mkdirSync(join(root, 'nested/.lockstep'))
    symlinkSync(join(root, 'nested/DEL-01-01_Own'), join(root, 'DEL-01-02_Link'))
    equal((await ledger.locks.list({ under: root })).locks, [])
  }),
)

standing(
  'a folder that does not exist and has no locks is an error, and never an empty list',
  scene(async ({ ledger, acquire, path }) => {
    is((await refusalOf(ledger.locks.list({ under: 'nosuch' }))).code, 'NOT_FOUND')
    await acquire()
    rmSync(path, { recursive: true })
    equal(
      (await ledger.locks.list({ under: folder })).locks.map((lock) => lock.name),
      [name],
    )
  }),
)

standing.run()

const breaking = suite('breaking a lock file that no grant explains')

for (const [what, content] of Object.entries({
  'a date in 2099 and a living process': hung(),
  'an unknown major version': foreignText({ schema_version: '2.0' }),
  'bytes that are not text': Buffer.from([0, 255, 254, 128, 10]),
  nothing: '',
  'a dead holder': foreignText({ ...deadHolder(), acquired: '2026-01-02T03:04:00Z' }),
})) {
  breaking(
    `a file with ${what} is moved aside by an operator: digest and reason on record, bytes kept`,
    scene(
      async ({ ledger, acquire, lock, root, path }) => {
        writeFileSync(lock, content)
        const types = await typesAppended(ledger, async () => {
          const broken = await ledger.locks.break({ folder: path, reason: 'the tool hangs', actor: operator })
          const digest = sha256(content)
          equal([broken.name, broken.digest, broken.aside], [name, digest, `.lockstep/aside/${digest}`])
          equal([broken.previous_token, broken.recovery_reason], [null, null])
        })
        equal(types, ['lock.file_set_aside'])
        const { actor, data } = await lastOf(ledger, 'lock.file_set_aside')
        equal([actor, data.by, data.name, data.reason], [operator, 'ann', name, 'the tool hangs'])
        equal([data.digest, data.path], [sha256(content), `${folder}/.lock`])
        equal(sha256(readFileSync(join(root, String(data.aside)))), data.digest)
        not(existsSync(lock))
        equal((await ledger.locks.status({ folder })).state, 'free')
        ok((await acquire()).token > 0)
      },
      { config },
    ),
  )
}

breaking(
  'by anyone but an operator is RELEASE_DENIED, recorded, and the file stays as it is',
  scene(
    async ({ ledger, lock, path, visible }) => {
      writeFileSync(lock, hung())
      const before = visible()
      const types = await typesAppended(ledger, async () => {
        const asked = ledger.locks.break({ folder: path, reason: 'x', actor: stranger })
        is((await refusalOf(asked)).code, 'RELEASE_DENIED')
      })
      equal(types, ['lock.refused'])
      equal(visible(), before)
    },
    { config },
  ),
)

breaking(
  'by the name of a folder that the ledger knows moves the file as well; by a folder, a grant is broken',
  scene(
    async (stage) => {
      const { acquire, ledger, lock, path } = stage
      await knownFolder(stage)
      writeFileSync(lock, hung())
      is((await ledger.locks.break({ name, reason: 'x', actor: operator })).digest, sha256(hung()))
      const lease = await acquire()
      const broken = await ledger.locks.break({ folder: path, reason: 'x', actor: operator })
      equal([broken.previous_token, broken.digest, broken.files], [lease.token, undefined, 'current'])
      const again = ledger.locks.break({ folder: path, reason: 'x', actor: operator })
      is((await refusalOf(again)).code, 'LOCK_NOT_HELD')
    },
    { config },
  ),
)

breaking(
  'is refused for a file in a renamed folder whose grant is current: that grant is to be broken',
  scene(
    async ({ acquire, ledger, path, root }) => {
      const lease = await acquire()
      renameSync(path, join(root, 'DEL-09-09_Renamed'))
      const asked = ledger.locks.break({ folder: 'DEL-09-09_Renamed', reason: 'x', actor: operator })
      const { code, details } = await refusalOf(asked)
      equal([code, details.held_name, details.token], ['LOCK_IS_HELD', name, lease.token])
      ok(existsSync(join(root, 'DEL-09-09_Renamed/.lock')))
    },
    { config },
  ),
)

breaking(
  'is refused for a folder outside the root, and for a link in place of the file',
  scene(
    async ({ ledger, lock, path }) => {
      const asked = (folder: string) => ledger.locks.break({ folder, reason: 'x', actor: operator })
      is((await refusalOf(asked('..'))).code, 'LOCK_PLACEMENT')
      symlinkSync('nowhere', lock)
      is((await refusalOf(asked(path))).code, 'LOCK_PLACEMENT')
    },
    { config },
  ),
)

breaking.run()

const recovering = suite('recovering a file that cannot be read')

recovering(
  'keeps its bytes in .lockstep/aside, and the record has their digest',
  scene(async ({ ledger, lock, path, root }) => {
    const bytes = Buffer.from('{"holder": "\u00e9', 'latin1')
    writeFileSync(lock, bytes)
    const recovered = await ledger.locks.recover({ name, folder: path, reason: 'cut' })
    const { data } = await lastOf(ledger, 'lock.recovered')
    equal([data.digest, data.aside], [sha256(bytes), `.lockstep/aside/${sha256(bytes)}`])
    equal([recovered.digest, recovered.aside], [data.digest, data.aside])
    is(Buffer.compare(readFileSync(join(root, String(data.aside))), bytes), 0)
    not(existsSync(lock))
  }),
)

recovering(
  'a file that is too large to keep stays where it is',
  scene(async ({ ledger, lock, path }) => {
    writeFileSync(lock, Buffer.alloc(16 * 1024 * 1024 + 1))
    const types = await typesAppended(ledger, async () => {
      is((await refusalOf(ledger.locks.recover({ name, folder: path, reason: 'x' }))).code, 'LIMIT_EXCEEDED')
    })
    equal(types, [])
    ok(existsSync(lock))
  }),
)

recovering.run()

const crashed = suite('a crash while a file is moved aside')

crashed(
  'after the record: the next open removes the file that it names, and no other',
  scene(
    async (stage) => {
      const { ledger, lock, path, root } = stage
      writeFileSync(lock, hung())
      const { size } = await ledger.head.get()
      await ledger.locks.break({ folder: path, reason: 'x', actor: operator })
      const other = foreignText({ holder: 'another' })
      for (const [content, expected] of [
        [hung(), false],
        [other, true],
      ] as const) {
        writeFileSync(join(path, '.lock.aside.nonce'), content)
        writeFileSync(join(root, '.lockstep/claims/recover-x'), `${size} ${path}`)
        await stage.reopen()
        is(existsSync(lock), expected)
        not(existsSync(join(path, '.lock.aside.nonce')))
      }
      is(readFileSync(lock, 'utf8'), other)
    },
    { config },
  ),
)

crashed(
  'while the copy is written: the next open removes the unfinished copy',
  scene(async (stage) => {
    mkdirSync(join(stage.root, '.lockstep/aside'), { mode: 0o700 })
    const unfinished = join(stage.root, '.lockstep/aside/abc.0123.tmp')
    writeFileSync(unfinished, 'cut')
    await stage.reopen()
    not(existsSync(unfinished))
  }),
)

crashed.run()
