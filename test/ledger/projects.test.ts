import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { refusalOf } from '../support/deliverable.ts'
import { typesAppended } from '../support/entries.ts'
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
  stranger,
  target_name,
} from '../support/projects.ts'
import { type Scene, scene } from '../support/scene.ts'

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
      const size = (await stage.ledger.head.get()).size
      is((await refusalOf(lock(stage, { target_name: bad }))).code, 'INVALID_INPUT')
      is((await refusalOf(() => stage.ledger.locks.check({ run_id, target_name: bad }))).code, 'INVALID_INPUT')
      is((await stage.ledger.head.get()).size, size)
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
      const size = (await stage.ledger.head.get()).size
      is((await refusalOf(lock(stage, { run_id: bad }))).code, 'INVALID_INPUT')
      is((await stage.ledger.head.get()).size, size)
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
    is((await refusalOf(stage.ledger.locks.renew({ lock_id: lease.lock_id }))).code, 'INVALID_INPUT')
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
    const { lock_id, run_id = '' } = await lock(stage)
    const { locks } = stage.ledger
    is((await refusalOf(locks.release({ run_id, final_status: 'COMPLETE' }))).code, 'RELEASE_DENIED')
    is((await refusalOf(locks.release({ lock_id }))).code, 'INVALID_INPUT')
    is((await stage.ledger.locks.status({ name })).state, 'held')
  }),
)

excluding.run()

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
      equal((await stage.ledger.locks.list({ orphans: true })).locks, [])
      orphan(stage)
      const [found, ...more] = (await stage.ledger.locks.list({ orphans: true })).locks
      equal([found?.name, found?.state, more.length], [name, 'orphan', 0])
      ok(found?.orphan_reason?.includes('RUN_LOCK.json'))
      is((await stage.ledger.locks.status({ name })).state, 'held')
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
