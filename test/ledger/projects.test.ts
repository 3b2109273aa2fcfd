import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { wallTimeOf } from '../../src/kernel/entry-time.ts'
import { refusalOf } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { put, type Scene, scene } from '../support/scene.ts'

const target_name = 'IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run | NEO'
const run_id = 'run_TEST001_iambecca-test-run_2026-02-02_001'
const name = 'project:TEST001/GOVERNANCE/iambecca-test-run'
const secondRun = 'run_TEST001_iambecca-test-run_2026-02-02_002'
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const stranger = { actor_id: 'agent-9', actor_type: 'agent' } as const
const fileOf = (run: string) => `runtime/runs/${run}/RUN_LOCK.json`

const seven = {
  status: 'LOCKED',
  target_name,
  run_id,
  lock_owner: run_id,
  lock_time: '2026-02-02T12:00:00Z',
  lock_reason: 'P0_INVENTORY initialization',
  release_conditions: ['state == COMPLETE', 'manual override by BECCA'],
}
const three = { released_at: '2026-02-02T14:30:00Z', released_by: 'BECCA (VERIFICATION)', final_status: 'COMPLETE' }

/** Locks the project for the first run, unless said otherwise. */
const lock = ({ ledger }: Pick<Scene, 'ledger'>, request = {}) =>
  ledger.locks.acquire({ target_name, run_id, ...request })
const release = ({ ledger }: Pick<Scene, 'ledger'>, request = {}) =>
  ledger.locks.release({ run_id, final_status: 'COMPLETE', actor: becca, ...request })
const read = (root: string, run = run_id) => JSON.parse(readFileSync(join(root, fileOf(run)), 'utf8'))
const warningsOf = async ({ ledger }: Pick<Scene, 'ledger'>) => (await ledger.verify()).warnings

const naming = suite('targets and runs')

naming(
  'a project is CLIENT_ID, PROJECT_TYPE and PROJECT_SLUG of its target, however it is spaced',
  scene(async (stage) => {
    is((await lock(stage)).name, name)
    await release(stage)
    const spaced = target_name.replaceAll(' | ', '|')
    is((await lock(stage, { run_id: secondRun, target_name: spaced })).name, name)
    is(read(stage.root, secondRun).target_name, spaced)
  }),
)

for (const bad of [
  'IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run',
  `${target_name} | SIX`,
  target_name.replace('IAMBECCA', 'OTHER'),
  target_name.replace('IAMBECCA', 'iambecca'),
  'IAMBECCA |  | GOVERNANCE | iambecca-test-run | NEO',
  'IAMBECCA | ../.. | GOVERNANCE | iambecca-test-run | NEO',
  'IAMBECCA | TEST001 | GOV/ERN | iambecca-test-run | NEO',
  'IAMBECCA | TEST001 | GOVERNANCE | iambecca test run | NEO',
  'IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run | ',
  `IAMBECCA | ${'X'.repeat(81)} | GOVERNANCE | iambecca-test-run | NEO`,
  '',
  '|',
  `${target_name}\n`,
  target_name.replace('NEO', '\ud800'),
]) {
  naming(
    `the target ${JSON.stringify(bad).slice(0, 60)} is INVALID_INPUT`,
    scene(async (stage) => {
      const size = stage.ledger.head().size
      is((await refusalOf(lock(stage, { target_name: bad }))).code, 'INVALID_INPUT')
      is((await refusalOf(() => stage.ledger.locks.check({ run_id, target_name: bad }))).code, 'INVALID_INPUT')
      is(stage.ledger.head().size, size)
      not(existsSync(join(stage.root, 'runtime')))
    }),
  )
}

naming(
  'the first word of a target is the configured one',
  scene(
    async (stage) => {
      is((await refusalOf(lock(stage))).code, 'INVALID_INPUT')
      is((await lock(stage, { target_name: target_name.replace('IAMBECCA', 'FLEET') })).name, name)
    },
    { config: { target_prefix: 'FLEET' } },
  ),
)

for (const bad of [
  'run_TEST001_iambecca-test-run_2026-02-30_001',
  'run_TEST001_iambecca-test-run_2025-02-29_001',
  'run_TEST001_iambecca-test-run_2026-13-01_001',
  'run_TEST001_iambecca-test-run_2026-02-02_01',
  'run_TEST001_iambecca-test-run_2026-02-02',
  'run_TEST001_other-slug_2026-02-02_001',
  'RUN_TEST001_iambecca-test-run_2026-02-02_001',
  '../../run_TEST001_iambecca-test-run_2026-02-02_001',
  'run_TEST001_iambecca-test-run_2026-02-02_001/..',
  'TEST001',
  `run_${'x'.repeat(200)}_iambecca-test-run_2026-02-02_001`,
]) {
  naming(
    `the run_id ${bad.slice(0, 60)} is INVALID_INPUT`,
    scene(async (stage) => {
      const size = stage.ledger.head().size
      is((await refusalOf(lock(stage, { run_id: bad }))).code, 'INVALID_INPUT')
      is(stage.ledger.head().size, size)
    }),
  )
}

naming(
  'a leap day, a long seq and another client are fine, the last with a warning',
  scene(async (stage) => {
    for (const [run, hasWarning] of [
      ['run_TEST001_iambecca-test-run_2024-02-29_001', false],
      ['run_TEST001_iambecca-test-run_2026-02-02_123456', false],
      ['run_OTHER_iambecca-test-run_2026-02-02_001', true],
    ] as const) {
      const lease = await lock(stage, { run_id: run })
      is(lease.warning !== undefined, hasWarning, run)
      await release(stage, { run_id: run })
    }
  }),
)

naming(
  'lock_owner equals run_id, or it is LOCK_OWNER_MISMATCH',
  scene(async (stage) => {
    const { code, details } = await refusalOf(lock(stage, { lock_owner: secondRun }))
    equal([code, details.lock_owner, details.run_id], ['LOCK_OWNER_MISMATCH', secondRun, run_id])
    is((await lock(stage, { lock_owner: run_id })).run_id, run_id)
  }),
)

naming.run()

const excluding = suite('one lock per project')

excluding(
  'a second run is contention, whatever codename it has: no lease, and the report names the run',
  scene(async (stage) => {
    const first = await lock(stage)
    for (const target of [target_name, target_name.replace('NEO', 'TRINITY')]) {
      const { code, details } = await refusalOf(lock(stage, { run_id: secondRun, target_name: target }))
      is(code, 'LOCK_CONTENTION')
      equal(
        [details.holder, details.run_id, details.lease_remaining_s, details.token, details.name],
        [run_id, run_id, null, first.token, name],
      )
    }
    not(existsSync(join(stage.root, fileOf(secondRun))))
  }),
)

excluding(
  'never expires: not by time, not by the death of anybody',
  scene(async (stage) => {
    const lease = await lock(stage)
    equal([lease.lease_duration_s, lease.expires_at], [null, null])
    stage.clock.advance(400 * 86_400_000)
    is((await refusalOf(lock(stage, { run_id: secondRun }))).code, 'LOCK_CONTENTION')
    is((await refusalOf(stage.ledger.locks.recover({ name, reason: 'old', actor: becca }))).code, 'LOCK_NOT_ORPHAN')
    is((await refusalOf(lease.renew())).code, 'INVALID_INPUT')
  }),
)

excluding(
  'another project is another lock',
  scene(async (stage) => {
    await lock(stage)
    const shop = { target_name: 'IAMBECCA | ACME | SITE | shop | NEO', run_id: 'run_ACME_shop_2026-02-02_001' }
    is((await lock(stage, shop)).name, 'project:ACME/SITE/shop')
    const typed = { target_name: target_name.replace('GOVERNANCE', 'AUDIT'), run_id: secondRun }
    is((await lock(stage, typed)).name, 'project:TEST001/AUDIT/iambecca-test-run')
  }),
)

excluding(
  'the same run, target and actor again: the same answer, and nothing is appended',
  scene(async (stage) => {
    const first = await lock(stage)
    const before = readFileSync(join(stage.root, fileOf(run_id)), 'utf8')
    const types = await typesAppended(stage.ledger, async () => {
      const second = await lock(stage, { reason: 'said otherwise' })
      equal([second.token, second.replayed, second.current], [first.token, true, true])
    })
    equal(types, [])
    is(readFileSync(join(stage.root, fileOf(run_id)), 'utf8'), before)
  }),
)

excluding(
  'the same answer also where its file was damaged or removed since',
  scene(async (stage) => {
    const first = await lock(stage)
    writeFileSync(join(stage.root, fileOf(run_id)), 'cut')
    is((await lock(stage)).token, first.token)
    rmSync(join(stage.root, 'runtime'), { recursive: true })
    is((await lock(stage)).token, first.token)
  }),
)

excluding(
  'the same run by another actor is contention; for another target IDEMPOTENCY_MISMATCH, whoever asks',
  scene(async (stage) => {
    await lock(stage)
    is((await refusalOf(lock(stage, { actor: stranger }))).code, 'LOCK_CONTENTION')
    for (const [target, actor] of [
      [target_name.replace('NEO', 'TRINITY'), undefined],
      [target_name.replace('GOVERNANCE', 'AUDIT'), undefined],
      [target_name.replace('GOVERNANCE', 'AUDIT'), stranger],
    ] as const) {
      const request = { target_name: target, ...(actor === undefined ? {} : { actor }) }
      is((await refusalOf(lock(stage, request))).code, 'IDEMPOTENCY_MISMATCH', target)
    }
    is(read(stage.root).target_name, target_name)
  }),
)

excluding(
  'the holder of the lease does not release or renew it: that is for the authority',
  scene(async (stage) => {
    const lease = await lock(stage)
    is((await refusalOf(lease.release())).code, 'RELEASE_DENIED')
    is((await stage.ledger.locks.status(name)).state, 'held')
  }),
)

excluding.run()

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
      const size = stage.ledger.head().size
      const { code, details, hint } = await refusalOf(lock(stage))
      is(code, 'LOCK_CONTENTION')
      equal([details.path, details.blocking_run_id, details.holder], [path, content.run_id, content.lock_owner])
      equal([details.lease_remaining_s, details.acquired, details.token], [null, content.lock_time, null])
      ok(hint?.includes('P0_INVENTORY must stop'))
      equal(stage.visible(), before)
      is(stage.ledger.head().size, size)
    }),
  )
}

for (const [what, make] of Object.entries({
  'is empty': (path: string) => writeFileSync(path, ''),
  'is cut': (path: string) => writeFileSync(path, JSON.stringify(seven).slice(0, 50)),
  'has an eighth member': (path: string) => writeFileSync(path, JSON.stringify({ ...seven, eighth: 1 })),
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

const edits: Record<string, (root: string) => void> = {
  'another reason': (root) => put(root, fileOf(run_id), JSON.stringify({ ...read(root), lock_reason: 'mine' })),
  'another owner': (root) => put(root, fileOf(run_id), JSON.stringify({ ...read(root), lock_owner: secondRun })),
  'a cut file': (root) => put(root, fileOf(run_id), '{"status": "LOCK'),
  'RELEASED by hand': (root) =>
    put(root, fileOf(run_id), JSON.stringify({ ...read(root), ...three, status: 'RELEASED' })),
}
for (const [what, edit] of Object.entries(edits)) {
  files(
    `a hand edit (${what}) is never overwritten, reported by verify, and holds up nobody else's file`,
    scene(async (stage) => {
      const { root, ledger } = stage
      await lock(stage)
      edit(root)
      const edited = readFileSync(join(root, fileOf(run_id)), 'utf8')
      is((await warningsOf(stage)).length, 1)
      is((await ledger.locks.list({ orphans: true })).length, 1)
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
    is((await stage.ledger.locks.status(name)).state, 'held')
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

const releasing = suite('releasing a project')

releasing(
  'COMPLETE is the authority’s attestation, recorded with condition and evidence',
  scene(async (stage) => {
    const { token } = await lock(stage)
    const released = await release(stage)
    equal([released.token, released.outcome], [token, 'success'])
    const { data } = await lastOf(stage.ledger, 'lock.released')
    equal(
      [data.condition_met, data.evidence, data.final_status, data.released_by, data.run_id],
      ['state == COMPLETE', 'attested', 'COMPLETE', 'BECCA (VERIFICATION)', run_id],
    )
    is(read(stage.root).released_by, 'BECCA (VERIFICATION)')
  }),
)

for (const final_status of ['PARTIAL', 'HALTED', 'FAILED', 'ABORTED', 'ROLLED_BACK'] as const) {
  releasing(
    `${final_status} needs the manual override, with a reason`,
    scene(async (stage) => {
      await lock(stage)
      for (const request of [{ final_status }, { final_status, override: true }]) {
        is((await refusalOf(release(stage, request))).code, 'RELEASE_CONDITION_UNMET')
      }
      await release(stage, { final_status, override: true, reason: 'client withdrew' })
      const { data } = await lastOf(stage.ledger, 'lock.released')
      equal(
        [data.condition_met, data.evidence, data.released_by, data.reason, data.outcome],
        ['manual override by BECCA', 'override', 'BECCA (manual override)', 'client withdrew', 'failure'],
      )
      equal([read(stage.root).final_status, read(stage.root).released_by], [final_status, 'BECCA (manual override)'])
    }),
  )
}

releasing(
  'an override does not make a run COMPLETE',
  scene(async (stage) => {
    await lock(stage)
    const request = { override: true, reason: 'looks done' }
    is((await refusalOf(release(stage, request))).code, 'RELEASE_CONDITION_UNMET')
    is((await stage.ledger.locks.status(name)).state, 'held')
    is(read(stage.root).status, 'LOCKED')
  }),
)

releasing(
  'only a condition that the lock has counts, and one suffices',
  scene(async (stage) => {
    await lock(stage, { release_conditions: ['manual override by BECCA'] })
    is((await refusalOf(release(stage))).code, 'RELEASE_CONDITION_UNMET')
    await release(stage, { final_status: 'HALTED', override: true, reason: 'x' })
    await lock(stage, { run_id: secondRun, release_conditions: ['when it is done', 'state == COMPLETE'] })
    const override = { run_id: secondRun, final_status: 'HALTED', override: true, reason: 'x' }
    is((await refusalOf(release(stage, override))).code, 'RELEASE_CONDITION_UNMET')
    await release(stage, { run_id: secondRun })
  }),
)

releasing(
  'a list of conditions of which none can be evaluated is refused at acquire',
  scene(async (stage) => {
    for (const release_conditions of [['when it is done'], ['state == DONE'], [], ['manual override']]) {
      is((await refusalOf(lock(stage, { release_conditions }))).code, 'INVALID_INPUT', release_conditions.join())
    }
    not(existsSync(join(stage.root, 'runtime')))
  }),
)

releasing(
  'by anyone but the authority is RELEASE_DENIED, recorded, and nothing else changes',
  scene(async (stage) => {
    await lock(stage)
    const before = stage.visible()
    const types = await typesAppended(stage.ledger, async () => {
      for (const actor of [stranger, { ...stranger, role_id: 'BECCA' }, { ...stranger, on_behalf_of: 'BECCA' }]) {
        is((await refusalOf(release(stage, { actor }))).code, 'RELEASE_DENIED')
      }
    })
    equal(types, ['lock.refused'])
    const { data, stream } = await lastOf(stage.ledger, 'lock.refused')
    equal([data.code, data.command, stream], ['RELEASE_DENIED', 'lock.release_project', `lock/${name}`])
    equal(stage.visible(), before)
  }),
)

releasing(
  'the authority is configurable, and so is the condition that names it',
  scene(
    async (stage) => {
      const ann = { actor_id: 'ANN', actor_type: 'human' } as const
      await lock(stage)
      equal(read(stage.root).release_conditions, ['state == COMPLETE', 'manual override by ANN'])
      is((await refusalOf(release(stage))).code, 'RELEASE_DENIED')
      await release(stage, { actor: ann, final_status: 'HALTED', override: true, reason: 'x' })
      is(read(stage.root).released_by, 'ANN (manual override)')
    },
    { config: { release_authority: 'ANN' } },
  ),
)

releasing(
  'again is answered by the first; a run that holds nothing is LOCK_NOT_HELD, recorded',
  scene(async (stage) => {
    await lock(stage)
    const first = await release(stage)
    const types = await typesAppended(stage.ledger, async () => {
      const second = await release(stage)
      equal([second.replayed, second.released], [true, first.released])
      is((await refusalOf(release(stage, { run_id: secondRun }))).code, 'LOCK_NOT_HELD')
    })
    equal(types, ['lock.refused'])
  }),
)

releasing(
  'RELEASED is terminal for a run, whoever asks, also when its file is gone and others ran since',
  scene(async (stage) => {
    await lock(stage)
    await release(stage)
    is((await refusalOf(lock(stage))).code, 'RUN_LOCK_RELEASED')
    rmSync(join(stage.root, 'runtime'), { recursive: true })
    is((await refusalOf(lock(stage))).code, 'RUN_LOCK_RELEASED')
    is((await refusalOf(lock(stage, { actor: stranger }))).code, 'RUN_LOCK_RELEASED')
    await lock(stage, { run_id: secondRun })
    await release(stage, { run_id: secondRun })
    is((await refusalOf(lock(stage, { actor: stranger }))).code, 'RUN_LOCK_RELEASED')
    equal(await typesAppended(stage.ledger, () => refusalOf(lock(stage))), [])
  }),
)

releasing(
  'the next run has a higher token and a file of its own',
  scene(async (stage) => {
    const first = await lock(stage)
    await release(stage)
    const second = await lock(stage, { run_id: secondRun })
    ok(second.token > first.token)
    equal([read(stage.root).status, read(stage.root, secondRun).status], ['RELEASED', 'LOCKED'])
  }),
)

releasing.run()

const orphans = suite('orphans among project locks')

for (const [what, orphan] of Object.entries({
  'its run folder is gone': ({ root }: Scene) => rmSync(dirname(join(root, fileOf(run_id))), { recursive: true }),
  'its file says RELEASED': ({ root }: Scene) => edits['RELEASED by hand']?.(root),
  'its file cannot be read': ({ root }: Scene) => edits['a cut file']?.(root),
  'its file was edited': ({ root }: Scene) => edits['another reason']?.(root),
})) {
  orphans(
    `${what}: listed with --orphans, and still LOCKED`,
    scene(async (stage) => {
      await lock(stage)
      equal(await stage.ledger.locks.list({ orphans: true }), [])
      orphan(stage)
      const [found, ...more] = await stage.ledger.locks.list({ orphans: true })
      equal([found?.name, found?.state, more.length], [name, 'orphan', 0])
      ok(found?.orphan_reason?.includes('RUN_LOCK.json'))
      is((await stage.ledger.locks.status(name)).state, 'held')
      is((await refusalOf(lock(stage, { run_id: secondRun }))).code, 'LOCK_CONTENTION')
    }),
  )
}

orphans.run()

const checking = suite('lock check, the preflight of every role')

checking(
  'passes for the run that holds the target, by its whole name',
  scene(async (stage) => {
    const { token } = await lock(stage)
    equal(await stage.ledger.locks.check({ run_id, target_name }), { run_id, target_name, token })
  }),
)

checking(
  'fails before, for another run, for another codename and after the release',
  scene(async (stage) => {
    const fails = async (request: { run_id: string; target_name: string }) =>
      is((await refusalOf(() => stage.ledger.locks.check(request))).code, 'LOCK_CHECK_FAILED', JSON.stringify(request))
    await fails({ run_id, target_name })
    await lock(stage)
    await fails({ run_id: secondRun, target_name })
    await fails({ run_id, target_name: target_name.replace('NEO', 'TRINITY') })
    await release(stage)
    await fails({ run_id, target_name })
  }),
)

checking.run()

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
    is((await stage.ledger.locks.status(name)).run_id, 'RUN-17')
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
    equal(await ledger.locks.unknownFiles(), [path])
    await ledger.locks.importFile({ file: path })
    equal(await ledger.locks.unknownFiles(), [])
    await release(stage)
    writeFileSync(join(root, fileOf(run_id)), JSON.stringify({ ...seven, lock_time: '2026-01-02T03:04:05Z' }))
    equal(await ledger.locks.unknownFiles(), [], 'LOCKED again by hand is known')
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
    is((await ledger.locks.status(name)).state, 'free')
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
      const size = stage.ledger.head().size
      is((await refusalOf(stage.ledger.locks.importFile({ file }))).code, code)
      equal(stage.visible(), before)
      is(stage.ledger.head().size, size)
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
