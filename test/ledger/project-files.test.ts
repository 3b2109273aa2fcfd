import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { wallTimeOf } from '../../src/kernel/entry-time.ts'
import { refusalOf } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import {
  becca,
  edits,
  fileOf,
  lock,
  name,
  read,
  release,
  run_id,
  secondRun,
  seven,
  stranger,
  target_name,
  three,
  warningsOf,
} from '../support/projects.ts'
import { put, scene } from '../support/scene.ts'

const blocking = suite('files that the ledger does not know')

for (const [what, where, content] of [
  ['LOCKED by another run', fileOf(secondRun), { ...seven, run_id: secondRun, lock_owner: secondRun }],
  ['LOCKED by this very run', fileOf(run_id), seven],
  ['LOCKED under another codename', fileOf('run_x'), { ...seven, target_name: target_name.replace('NEO', 'TRINITY') }],
  ['LOCKED in a project folder', `projects/A/B/C/${fileOf('run_x')}`, seven],
  [
    'LOCKED by a legacy target that names the slug',
    fileOf('run_x'),
    { ...seven, target_name: 'BECCA iambecca-test-run' },
  ],
] as const) {
  blocking(
    `${what} block: LOCK_CONTENTION with path and blocking lock, and nothing changes`,
    scene(async (stage) => {
      const path = put(stage.root, where, JSON.stringify(content))
      const before = stage.visible()
      const size = (await stage.ledger.head.get()).size
      const { code, details, hint } = await refusalOf(lock(stage))
      is(code, 'LOCK_CONTENTION')
      equal([details.path, details.blocking_run_id, details.holder], [path, content.run_id, content.lock_owner])
      equal([details.lease_remaining_s, details.acquired, details.token], [null, content.lock_time, null])
      ok(hint?.includes('P0_INVENTORY must stop'))
      equal(stage.visible(), before)
      is((await stage.ledger.head.get()).size, size)
    }),
  )
}

for (const [what, make] of Object.entries({
  'is empty': (path: string) => writeFileSync(path, ''),
  'is cut': (path: string) => writeFileSync(path, JSON.stringify(seven).slice(0, 50)),
  'is a pipe': (path: string) => execFileSync('mkfifo', [path]),
  'is a folder': (path: string) => mkdirSync(path),
})) {
  blocking(
    `one that cannot be read blocks: ${what}`,
    scene(async (stage) => {
      const path = join(stage.root, fileOf('run_x'))
      mkdirSync(dirname(path), { recursive: true })
      make(path)
      const { code, details } = await refusalOf(lock(stage))
      equal(
        [code, details.path, details.holder, details.blocking_run_id],
        ['LOCK_CONTENTION', path, 'unreadable', 'run_x'],
      )
    }),
  )
}

blocking(
  'of another project, or RELEASED, do not block',
  scene(async (stage) => {
    const shop = { ...seven, target_name: 'IAMBECCA | ACME | SITE | shop | NEO' }
    put(stage.root, fileOf('run_x'), JSON.stringify(shop))
    put(stage.root, fileOf(secondRun), JSON.stringify({ ...seven, run_id: secondRun, ...three, status: 'RELEASED' }))
    is((await lock(stage)).current, true)
  }),
)

blocking(
  'RELEASED for this very run: RUN_LOCK_RELEASED',
  scene(async (stage) => {
    put(stage.root, fileOf(run_id), JSON.stringify({ ...seven, ...three, status: 'RELEASED' }))
    is((await refusalOf(lock(stage))).code, 'RUN_LOCK_RELEASED')
  }),
)

blocking(
  'are set aside by the authority, with a reason: kept beside, recorded with their content, and the block is over',
  scene(async (stage) => {
    const { ledger, root } = stage
    for (const content of [JSON.stringify({ ...seven, run_id: 'run_x' }), 'cut \u{1f512}']) {
      const path = put(root, fileOf('run_x'), content)
      await refusalOf(lock(stage))
      const request = { file: path, set_aside: true }
      is(
        (await refusalOf(ledger.locks.importFile({ ...request, reason: 'lost', actor: stranger }))).code,
        'RELEASE_DENIED',
      )
      is((await refusalOf(ledger.locks.importFile({ ...request, actor: becca }))).code, 'INVALID_INPUT')
      is(readFileSync(path, 'utf8'), content)
      const types = await typesAppended(ledger, () =>
        ledger.locks.importFile({ ...request, reason: 'run was lost', actor: becca }),
      )
      equal(types, ['lock.file_set_aside'])
      const { data } = await lastOf(ledger, 'lock.file_set_aside')
      equal([data.by, data.content, data.path, data.reason], ['BECCA', content, fileOf('run_x'), 'run was lost'])
      not(existsSync(path))
      is(readFileSync(join(root, String(data.aside)), 'utf8'), content)
    }
    is((await lock(stage)).current, true)
  }),
)

blocking(
  'the file of the lock that a run holds is not set aside',
  scene(async (stage) => {
    await lock(stage)
    const request = { file: join(stage.root, fileOf(run_id)), set_aside: true, reason: 'x', actor: becca }
    is((await refusalOf(stage.ledger.locks.importFile(request))).code, 'LOCK_IS_HELD')
    equal(read(stage.root).status, 'LOCKED')
  }),
)

blocking.run()

const files = suite('RUN_LOCK.json')

files(
  'exactly the seed’s seven members while LOCKED, ten when RELEASED, the seven unchanged',
  scene(async (stage) => {
    const { root, clock } = stage
    is((await lock(stage)).files, 'current')
    const locked = { ...seven, lock_time: '2026-01-02T03:04:05Z' }
    is(readFileSync(join(root, fileOf(run_id)), 'utf8'), `${JSON.stringify(locked, null, 2)}\n`)
    clock.advance(3_600_000)
    is((await release(stage)).files, 'current')
    const released_at = `${wallTimeOf(await lastOf(stage.ledger, 'lock.released')).slice(0, 19)}Z`
    const released = { ...locked, ...three, status: 'RELEASED', released_at }
    is(readFileSync(join(root, fileOf(run_id)), 'utf8'), `${JSON.stringify(released, null, 2)}\n`)
    equal(await warningsOf(stage), [])
  }),
)

files(
  'reason and release conditions stand verbatim',
  scene(async (stage) => {
    const release_conditions = ['after the fair', 'state  ==COMPLETE', 'manual override by BECCA']
    const { code } = await refusalOf(lock(stage, { release_conditions: ['manual override by EVE'] }))
    is(code, 'INVALID_INPUT', 'nobody could release it')
    await lock(stage, { reason: 'Umbau "B",\nPhase 2', release_conditions })
    equal(
      [read(stage.root).lock_reason, read(stage.root).release_conditions],
      ['Umbau "B",\nPhase 2', release_conditions],
    )
    await release(stage)
    equal(read(stage.root).release_conditions, release_conditions)
  }),
)

files(
  'below runs_dir of the configuration',
  scene(
    async (stage) => {
      await lock(stage)
      ok(existsSync(join(stage.root, 'work/runs', run_id, 'RUN_LOCK.json')))
    },
    { config: { runs_dir: 'work/runs' } },
  ),
)

files(
  'breaking a project lock writes RELEASED, ABORTED, by manual override',
  scene(async (stage) => {
    await lock(stage)
    await stage.ledger.locks.break({ name, reason: 'rolled back', actor: becca })
    const { status, released_by, final_status } = read(stage.root)
    equal([status, released_by, final_status], ['RELEASED', 'BECCA (manual override)', 'ABORTED'])
    equal(await warningsOf(stage), [])
  }),
)
for (const [what, edit] of Object.entries(edits)) {
  files(
    `a hand edit (${what}) is never overwritten, reported by verify, and holds up nobody else's file`,
    scene(async (stage) => {
      const { root, ledger } = stage
      await lock(stage)
      edit(root)
      const edited = readFileSync(join(root, fileOf(run_id)), 'utf8')
      is((await warningsOf(stage)).length, 1)
      is((await ledger.locks.list({ orphans: true })).locks.length, 1)
      is((await release(stage, { final_status: 'HALTED', override: true, reason: 'x' })).files, 'pending')
      is(readFileSync(join(root, fileOf(run_id)), 'utf8'), edited)
      is((await warningsOf(stage)).length, 1)
      if (what === 'a cut file') return
      const shop = { target_name: 'IAMBECCA | ACME | SITE | shop | NEO', run_id: 'run_ACME_shop_2026-02-02_001' }
      is((await lock(stage, shop)).files, 'current')
      is(read(root, shop.run_id).status, 'LOCKED')
      await stage.reopen()
      is(readFileSync(join(root, fileOf(run_id)), 'utf8'), edited)
    }),
  )
}

files(
  'removed by hand comes back at the release; an archived run stays away',
  scene(async (stage) => {
    await lock(stage)
    rmSync(join(stage.root, fileOf(run_id)))
    await release(stage)
    is(read(stage.root).status, 'RELEASED')
    rmSync(join(stage.root, 'runtime'), { recursive: true })
    await stage.reopen()
    equal(await warningsOf(stage), [])
  }),
)

files(
  'that cannot be written now is pending, and is written by the next command, with those of others meanwhile',
  scene(async (stage) => {
    const { root } = stage
    // A file where the run's folder has to be.
    put(root, `runtime/runs/${run_id}`, 'in the way')
    is((await lock(stage)).files, 'pending')
    is((await stage.ledger.locks.status({ name })).state, 'held')
    const shop = { target_name: 'IAMBECCA | ACME | SITE | shop | NEO', run_id: 'run_ACME_shop_2026-02-02_001' }
    is((await lock(stage, shop)).files, 'pending')
    is(read(root, shop.run_id).status, 'LOCKED')
    await stage.reopen()
    rmSync(join(root, 'runtime/runs', run_id))
    await stage.reopen()
    is(read(root).status, 'LOCKED')
    is((await release(stage)).files, 'current')
    is(read(root).status, 'RELEASED')
  }),
)

files.run()
