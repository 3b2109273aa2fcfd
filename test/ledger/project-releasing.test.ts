import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { refusalOf } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { lock, name, read, release, run_id, secondRun, stranger } from '../support/projects.ts'
import { scene } from '../support/scene.ts'

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
    is((await stage.ledger.locks.status({ name })).state, 'held')
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
