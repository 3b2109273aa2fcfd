import { existsSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { foreignText, refusalOf, startHolder } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { fileOf, lock as lockProject, name as project, read, release, run_id, secondRun } from '../support/projects.ts'
import { type Scene, scene } from '../support/scene.ts'

const name = 'deliverable:DEL-08-05'
const other = { actor_id: 'agent-2', actor_type: 'agent' } as const
const minute = 60_000

const removed = suite('a lock file that is removed under a current grant is restored and recorded')

/** Cuts a lock file as a failure of power does: the end is gone, or is zeros. */
const cuts: Record<string, (lock: string) => void> = {
  removed: (lock) => unlinkSync(lock),
  cut: (lock) => writeFileSync(lock, readFileSync(lock, 'utf8').slice(0, 250)),
  'filled with zeros at its end': (lock) => {
    const text = readFileSync(lock, 'utf8')
    writeFileSync(lock, text.slice(0, 250).padEnd(text.length, '\0'))
  },
}

for (const [what, cut] of Object.entries(cuts)) {
  removed(
    `at the next renewal, which succeeds: ${what}`,
    scene(async ({ ledger, acquire, clock, lock }) => {
      const lease = await acquire()
      cut(lock)
      clock.advance(minute)
      const types = await typesAppended(ledger, () => lease.renew())
      equal(types, ['lock.file_restored', 'lock.renewed'])
      const { data } = await lastOf(ledger, 'lock.file_restored')
      equal([data.name, data.token, data.lock_ref], [name, lease.token, lease.lock_ref])
      const content = JSON.parse(readFileSync(lock, 'utf8'))
      equal([content.lock_ref, content.acquired], [lease.lock_ref, '2026-01-02T03:05:05.000Z'])
      equal(await typesAppended(ledger, () => lease.renew()), ['lock.renewed'])
    }),
  )

  removed(
    `at the next attempt of another, which is contention: ${what}`,
    scene(async ({ ledger, acquire, lock }) => {
      const lease = await acquire()
      const text = readFileSync(lock, 'utf8')
      cut(lock)
      const types = await typesAppended(ledger, async () => {
        const { code, details } = await refusalOf(acquire({ holder: 'agent-2', actor: other }))
        equal([code, details.token], ['LOCK_CONTENTION', lease.token])
      })
      equal(types, ['lock.file_restored'])
      is(readFileSync(lock, 'utf8'), text)
    }),
  )

  removed(
    `at the release, which succeeds: ${what}`,
    scene(async ({ ledger, acquire, lock, path }) => {
      const lease = await acquire()
      cut(lock)
      equal(await typesAppended(ledger, () => lease.release()), ['lock.file_restored', 'lock.released'])
      not(existsSync(lock))
      equal((await ledger.locks.status({ folder: path })).state, 'free')
    }),
  )

  if (what === 'removed') continue
  removed(
    `of a dead holder is taken over: ${what}`,
    scene(async ({ ledger, acquire, lock }) => {
      const holder = startHolder()
      await acquire({ pids: [holder.pid] })
      cut(lock)
      await holder.kill()
      const types = await typesAppended(ledger, () => acquire({ holder: 'agent-2', actor: other }))
      equal(types, ['lock.recovered', 'lock.acquired'])
      equal((await lastOf(ledger, 'lock.recovered')).data.recovery_reason, 'pid_dead')
    }),
  )
}

removed(
  'an empty file may be another tool’s, so it is lost at the renewal and not taken over',
  scene(async ({ ledger, acquire, lock }) => {
    const holder = startHolder()
    const lease = await acquire({ pids: [holder.pid] })
    writeFileSync(lock, '')
    is((await refusalOf(lease.renew())).code, 'LEASE_LOST')
    await holder.kill()
    is((await refusalOf(acquire())).code, 'LOCK_CONTENTION')
    is(readFileSync(lock, 'utf8'), '')
    is((await ledger.locks.recover({ name, reason: 'cut' })).recovery_reason, 'unreadable')
  }),
)

removed(
  'the same lock_id gets its grant again, and the file',
  scene(async ({ ledger, acquire, lock }) => {
    const lock_id = 'lck_0123456789abcdef'
    const lease = await acquire({ lock_id })
    unlinkSync(lock)
    const types = await typesAppended(ledger, async () => {
      equal((await acquire({ lock_id })).token, lease.token)
    })
    equal(types, ['lock.file_restored'])
    ok(existsSync(lock))
  }),
)

removed(
  'only the file of another ends the grant',
  scene(async ({ acquire, ledger, lock }) => {
    const lease = await acquire()
    writeFileSync(lock, foreignText())
    is((await refusalOf(lease.renew())).code, 'LEASE_LOST')
    is((await lastOf(ledger, 'lock.lost')).data.found, 'foreign-tool')
    is((await ledger.locks.status({ name })).holder, 'foreign-tool')
  }),
)

removed.run()

const vanished = suite('a folder that vanishes under a current grant')

vanished(
  'keeps its grant until it ends: it is renewed without a file, and its file comes back with the folder',
  scene(async ({ ledger, acquire, clock, lock, path, root }) => {
    const lease = await acquire()
    const away = join(root, 'away')
    renameSync(path, away)
    clock.advance(9 * minute)
    equal(await typesAppended(ledger, () => lease.renew()), ['lock.renewed'])
    clock.advance(9 * minute)
    is((await ledger.locks.status({ name })).state, 'held')
    renameSync(away, path)
    await lease.renew()
    is(JSON.parse(readFileSync(lock, 'utf8')).acquired, '2026-01-02T03:22:05.000Z')
    rmSync(path, { recursive: true })
    clock.advance(10 * minute)
    equal((await ledger.locks.list({ orphans: true })).locks.length, 1)
    is((await lease.release()).late, true)
  }),
)

vanished(
  'by a new name is contention: the report names what was attempted and what is held (REQ-LOCK-007)',
  scene(async ({ acquire, path, root }) => {
    const lease = await acquire()
    const folder = join(root, 'DEL-09-09_Renamed')
    renameSync(path, folder)
    const { code, details, message } = await refusalOf(acquire({ folder, holder: 'second' }))
    is(code, 'LOCK_CONTENTION')
    equal([details.name, details.deliverable_id], ['deliverable:DEL-09-09', 'DEL-09-09'])
    equal([details.held_name, details.held_folder, details.token], [name, 'DEL-08-05_Lock', lease.token])
    for (const named of ['deliverable:DEL-09-09', name, 'DEL-09-09_Renamed']) match(message, named)
  }),
)

vanished(
  'by a new name with the same id is refused with the folder that is bound and the holder',
  scene(async ({ acquire, path, root }) => {
    const lease = await acquire()
    const folder = join(root, 'DEL-08-05_Renamed')
    renameSync(path, folder)
    const { code, details, message } = await refusalOf(acquire({ folder, holder: 'second' }))
    equal(
      [code, details.name, details.folder, details.bound_folder, details.holder, details.token],
      ['LOCK_PLACEMENT', name, 'DEL-08-05_Renamed', 'DEL-08-05_Lock', 'agent-1', lease.token],
    )
    match(message, 'held there by agent-1')
  }),
)

vanished.run()

const runs = suite('a RUN_LOCK.json that is removed under a current grant is restored and recorded')

const ways: Record<string, (stage: Scene) => Promise<unknown>> = {
  'another run asks': (stage) => refusalOf(lockProject(stage, { run_id: secondRun })),
  'the same run asks again': (stage) => lockProject(stage),
}
for (const [what, ask] of Object.entries(ways)) {
  for (const gone of [fileOf(run_id), 'runtime']) {
    runs(
      `when ${what}, and ${gone} is gone`,
      scene(async (stage) => {
        const { token } = await lockProject(stage)
        const text = readFileSync(join(stage.root, fileOf(run_id)), 'utf8')
        rmSync(join(stage.root, gone), { recursive: true })
        equal(await typesAppended(stage.ledger, () => ask(stage)), ['lock.file_restored'])
        const { data, stream } = await lastOf(stage.ledger, 'lock.file_restored')
        equal([stream, data.token, data.folder], [`lock/${project}`, token, `runtime/runs/${run_id}`])
        is(readFileSync(join(stage.root, fileOf(run_id)), 'utf8'), text)
        equal(await typesAppended(stage.ledger, () => ask(stage)), [])
        await release(stage)
        is(read(stage.root).status, 'RELEASED')
        equal((await stage.ledger.log.verify()).warnings, [])
      }),
    )
  }
}

runs(
  'after its release it stays away',
  scene(async (stage) => {
    await lockProject(stage)
    await release(stage)
    rmSync(join(stage.root, 'runtime'), { recursive: true })
    equal(await typesAppended(stage.ledger, () => lockProject(stage, { run_id: secondRun })), ['lock.acquired'])
    not(existsSync(join(stage.root, fileOf(run_id))))
  }),
)

runs.run()
