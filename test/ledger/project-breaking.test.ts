import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { refusalOf } from '../support/deliverable.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { becca, lock, name, read, release, run_id, secondRun, warningsOf } from '../support/projects.ts'
import { configure, scene } from '../support/scene.ts'

const operator = { actor_id: 'ann', actor_type: 'human' } as const

const breaking = suite('LOCKED: who can release, BECCA only (run lock template, Lock States)')

breaking(
  'an operator may not break a project lock; the refusal is recorded, and the file stays LOCKED',
  scene(
    async (stage) => {
      await lock(stage)
      const before = stage.visible()
      const types = await typesAppended(stage.ledger, async () => {
        const { code, message } = await refusalOf(stage.ledger.locks.break({ name, reason: 'x', actor: operator }))
        equal([code, message], ['RELEASE_DENIED', `ann may not break ${name}: only BECCA may`])
      })
      equal(types, ['lock.refused'])
      equal((await lastOf(stage.ledger, 'lock.refused')).actor, operator)
      equal(stage.visible(), before)
      is((await stage.ledger.locks.status({ name })).state, 'held')
    },
    { config: { operators: ['ann'] } },
  ),
)

breaking(
  'released_by names the authority that broke the lock, and stays when another authority is configured later',
  scene(async (stage) => {
    await lock(stage)
    await stage.ledger.locks.break({ name, reason: 'rolled back', actor: becca })
    const { actor, data } = await lastOf(stage.ledger, 'lock.broken')
    equal([actor.actor_id, data.released_by], ['BECCA', 'BECCA (manual override)'])
    is(read(stage.root).released_by, 'BECCA (manual override)')
    configure(stage.root, { release_authority: 'CARA' })
    await stage.reopen()
    equal(await warningsOf(stage), [])
  }),
)

breaking(
  'a lock that is not of a project is broken by an operator, and its entry has no released_by',
  scene(
    async ({ acquire, ledger }) => {
      await acquire()
      await ledger.locks.break({ name: 'deliverable:DEL-08-05', reason: 'hangs', actor: operator })
      is((await lastOf(ledger, 'lock.broken')).data.released_by, undefined)
    },
    { config: { operators: ['ann'] } },
  ),
)

breaking.run()

const again = suite('RELEASED is terminal (run lock template, Lock States)')

again(
  'a second release with another final status is refused, and the first stands',
  scene(async (stage) => {
    await lock(stage)
    const first = await release(stage)
    const types = await typesAppended(stage.ledger, async () => {
      const other = { final_status: 'FAILED', override: true, reason: 'looked again' }
      const { code, details } = await refusalOf(release(stage, other))
      equal([code, details.final_status, details.run_id], ['IDEMPOTENCY_MISMATCH', 'COMPLETE', run_id])
    })
    equal(types, [])
    is((await release(stage)).released, first.released)
    is(read(stage.root).final_status, 'COMPLETE')
    await lock(stage, { run_id: secondRun })
  }),
)

again.run()
