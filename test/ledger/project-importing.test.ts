import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { refusalOf } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import {
  becca,
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

const importing = suite('importing files')

importing(
  'a LOCKED file becomes the grant it says, and is not written again; the authority releases it',
  scene(async (stage) => {
    const { ledger, root } = stage
    const path = put(root, fileOf(run_id), JSON.stringify(seven))
    const types = await typesAppended(ledger, () => ledger.locks.importFile({ file: path }))
    equal(types, ['lock.acquired'])
    const { data } = await lastOf(ledger, 'lock.acquired')
    equal(
      [data.source, data.acquired, data.run_id, data.holder],
      ['import', '2026-02-02T12:00:00.000Z', run_id, run_id],
    )
    is(readFileSync(path, 'utf8'), JSON.stringify(seven))
    is((await ledger.locks.check({ run_id, target_name })).run_id, run_id)
    is((await refusalOf(lock(stage, { run_id: secondRun }))).code, 'LOCK_CONTENTION')
    equal(await warningsOf(stage), [])
    await release(stage)
    equal([read(root).status, read(root).lock_time], ['RELEASED', seven.lock_time])
    equal(await warningsOf(stage), [])
  }),
)

importing(
  'a legacy run_id is tolerated, in the folder of its name',
  scene(async (stage) => {
    const legacy = { ...seven, run_id: 'RUN-17', lock_owner: 'RUN-17' }
    const path = put(stage.root, fileOf('RUN-17'), JSON.stringify(legacy))
    await stage.ledger.locks.importFile({ file: path })
    is((await stage.ledger.locks.status({ name })).run_id, 'RUN-17')
    await release(stage, { run_id: 'RUN-17' })
    is(read(stage.root, 'RUN-17').status, 'RELEASED')
  }),
)

importing(
  '--all takes over LOCKED files that the ledger does not know, and no others',
  scene(async (stage) => {
    const { ledger, root } = stage
    await lock(stage)
    const shop = { ...seven, target_name: 'IAMBECCA | ACME | SITE | shop | NEO', run_id: 'run_s', lock_owner: 'run_s' }
    const path = put(root, `projects/ACME/SITE/shop/${fileOf('run_s')}`, JSON.stringify(shop))
    put(root, fileOf('run_r'), JSON.stringify({ ...seven, ...three, run_id: 'run_r', status: 'RELEASED' }))
    equal((await ledger.locks.unknownFiles()).files, [path])
    await ledger.locks.importFile({ file: path })
    equal((await ledger.locks.unknownFiles()).files, [])
    await release(stage)
    writeFileSync(join(root, fileOf(run_id)), JSON.stringify({ ...seven, lock_time: '2026-01-02T03:04:05Z' }))
    equal((await ledger.locks.unknownFiles()).files, [], 'LOCKED again by hand is known')
  }),
)

importing(
  'again, and of the ledger’s own file, is answered by the grant; of a run that was released is RUN_LOCK_RELEASED',
  scene(async (stage) => {
    const { ledger, root } = stage
    const { token } = await lock(stage)
    const file = join(root, fileOf(run_id))
    equal(await ledger.locks.importFile({ file }), { seq: token, type: 'lock.acquired', replayed: true })
    await release(stage)
    put(root, fileOf(run_id), JSON.stringify(seven))
    is((await refusalOf(ledger.locks.importFile({ file }))).code, 'RUN_LOCK_RELEASED')
    is((await ledger.locks.status({ name })).state, 'free')
  }),
)

importing(
  'while another run holds the project is contention',
  scene(async (stage) => {
    await lock(stage)
    const other = { ...seven, run_id: 'run_x', lock_owner: 'run_x' }
    const file = put(stage.root, fileOf('run_x'), JSON.stringify(other))
    is((await refusalOf(stage.ledger.locks.importFile({ file }))).code, 'LOCK_CONTENTION')
  }),
)

for (const [final_status, evidence] of [
  ['COMPLETE', 'run_file'],
  ['HALTED', 'run_file'],
] as const) {
  importing(
    `a file set to RELEASED (${final_status}) counts once the authority imports it, and not before`,
    scene(async (stage) => {
      const { ledger, root } = stage
      await lock(stage)
      const content = { ...read(root), ...three, status: 'RELEASED', final_status }
      const file = put(root, fileOf(run_id), JSON.stringify(content))
      is((await refusalOf(lock(stage, { run_id: secondRun }))).code, 'LOCK_CONTENTION')
      const types = await typesAppended(ledger, async () => {
        is((await refusalOf(ledger.locks.importFile({ file, actor: stranger }))).code, 'RELEASE_DENIED')
        await ledger.locks.importFile({ file, actor: becca })
      })
      equal(types, ['lock.refused', 'lock.released'])
      const { data } = await lastOf(ledger, 'lock.released')
      equal([data.evidence, data.final_status], [evidence, final_status])
      is(readFileSync(file, 'utf8'), JSON.stringify(content))
      equal(await warningsOf(stage), [])
      is((await lock(stage, { run_id: secondRun })).current, true)
    }),
  )
}

const traversal = '../../../outside'
for (const [what, where, content, code] of [
  ['a run_id that is not its folder’s', fileOf('run_x'), { run_id: 'run_y', lock_owner: 'run_y' }, 'INVALID_INPUT'],
  ['a run_id that leads elsewhere', fileOf('run_x'), { run_id: traversal, lock_owner: traversal }, 'INVALID_INPUT'],
  ['another owner', fileOf(run_id), { lock_owner: secondRun }, 'LOCK_OWNER_MISMATCH'],
  ['a target that is none', fileOf(run_id), { target_name: 'somewhere' }, 'INVALID_INPUT'],
  ['a reason with control characters', fileOf(run_id), { lock_reason: 'a\u0007b' }, 'INVALID_INPUT'],
  ['a blank reason', fileOf(run_id), { lock_reason: ' \n' }, 'INVALID_INPUT'],
  ['conditions of which none can be evaluated', fileOf(run_id), { release_conditions: ['done'] }, 'INVALID_INPUT'],
  [
    'a hundred conditions',
    fileOf(run_id),
    { release_conditions: Array(100).fill('state == COMPLETE') },
    'INVALID_INPUT',
  ],
  ['no run’s folder', 'runtime/runs/RUN_LOCK.json', {}, 'INVALID_INPUT'],
  ['a place of its own', 'elsewhere/run_x/RUN_LOCK.json', {}, 'INVALID_INPUT'],
  ['another name', `runtime/runs/${run_id}/lock.json`, {}, 'INVALID_INPUT'],
] as const) {
  importing(
    `a file with ${what} is ${code}, and nothing changes`,
    scene(async (stage) => {
      const file = put(stage.root, where, JSON.stringify({ ...seven, ...content }))
      const before = stage.visible()
      const size = (await stage.ledger.head.get()).size
      is((await refusalOf(stage.ledger.locks.importFile({ file }))).code, code)
      equal(stage.visible(), before)
      is((await stage.ledger.head.get()).size, size)
    }),
  )
}

importing(
  'no file outside the runs directories is read or moved, whatever the authority says',
  scene(async (stage) => {
    const { ledger, root } = stage
    const outside = put(root, 'secrets/RUN_LOCK.json', 'precious')
    const lines: [file: string, code: string][] = [
      [outside, 'INVALID_INPUT'],
      [join(root, '.lockstep/key'), 'INVALID_INPUT'],
      ['/etc/passwd', 'INVALID_INPUT'],
      [join(root, 'runtime/runs/run_x/RUN_LOCK.json'), 'NOT_FOUND'],
    ]
    for (const [file, code] of lines) {
      for (const set_aside of [true, false]) {
        const request = { file, set_aside, reason: 'x', actor: becca }
        is((await refusalOf(ledger.locks.importFile(request))).code, code, file)
      }
    }
    equal(readdirSync(join(root, 'secrets')), ['RUN_LOCK.json'])
    mkdirSync(join(root, 'runtime/runs/run_x'), { recursive: true })
    is((await refusalOf(ledger.locks.importFile({ file: join(root, fileOf('run_x')) }))).code, 'NOT_FOUND')
    renameSync(outside, join(root, fileOf('run_x')))
    is((await refusalOf(ledger.locks.importFile({ file: join(root, fileOf('run_x')) }))).code, 'INVALID_INPUT')
  }),
)

importing.run()
