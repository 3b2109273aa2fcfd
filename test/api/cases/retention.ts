import { equal, is } from 'uvu/assert'
import { editConfig as edit } from '../../support/scene.ts'
import { becca, type Cases, newName, refused, type Stage, stranger } from '../stage.ts'
import { superseded } from './erasures.ts'

const dayMillis = 24 * 60 * 60 * 1_000
const classes = { work: { covers: ['body', 'manifest'], delete_after: '400d' } }
const told = { action_type: 'system', notes: 'said lately', outcome: 'success' } as const
const noHold = `hld_${'0'.repeat(21)}`

/** Lets time pass since the last entry: by the clock, and by an entry. The first entry has the time of the machine. */
async function pass({ api, clock }: Stage, days: number): Promise<void> {
  const { time } = await api.log.entry({ seq: (await api.head.get()).size - 1 })
  clock.advance(Date.parse(time) + days * dayMillis - clock.now().wall_ms)
  await api.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
}

export const retention: Cases<'retention'> = {
  of: {
    show: {
      'gives the classes, the holds, and the shortest time': async ({ apart }) => {
        const short = { covers: ['issues'], delete_after: '1d' }
        await apart({ retention: { classes: { ...classes, short } } }, async ({ api }) => {
          const { hold_id } = await api.retention.hold({ actor: becca, case_id: 'CASE-17', reason: 'litigation' })
          const shown = await api.retention.show()
          is(shown.minimum_s, 183 * 86_400)
          equal(shown.classes, [
            { class: 'work', covers: ['body', 'manifest'], delete_after_s: 400 * 86_400 },
            { class: 'short', covers: ['issues'], delete_after_s: 183 * 86_400 },
          ])
          equal(
            shown.holds.map(({ covers, hold_id: id, reason }) => [covers, id, reason]),
            [[{ case_id: 'CASE-17' }, hold_id, 'litigation']],
          )
        })
      },
    },
    hold: {
      'covers a class, a case, a run or everything': async ({ api }) => {
        const asked = { actor: becca, idempotency_key: newName('key'), reason: 'litigation' as const }
        const { replayed, ...first } = await api.retention.hold({ ...asked, case_id: 'CASE-17' })
        equal([replayed, first.covers], [false, { case_id: 'CASE-17' }])
        equal(await api.retention.hold({ ...asked, case_id: 'CASE-17' }), { ...first, replayed: true })
        await refused(api.retention.hold({ ...asked, all: true }), 'IDEMPOTENCY_MISMATCH')
        await refused(api.retention.hold({ actor: stranger, all: true, reason: 'audit' }), 'ERASURE_DENIED')
        await api.retention.lift({ actor: becca, hold_id: first.hold_id })
      },
    },
    lift: {
      'ends a hold': async ({ api }) => {
        const { hold_id } = await api.retention.hold({ actor: becca, all: true, reason: 'audit' })
        await refused(api.retention.lift({ actor: stranger, hold_id }), 'ERASURE_DENIED')
        is((await api.retention.lift({ actor: becca, hold_id })).hold_id, hold_id)
        await refused(api.retention.lift({ actor: becca, hold_id }), 'NOT_FOUND')
        await refused(api.retention.lift({ actor: becca, hold_id: noHold }), 'NOT_FOUND')
      },
    },
    sweep: {
      'erases what is old enough and not needed, and nothing else': async ({ apart }) => {
        await apart({ retention: { classes } }, async (stage) => {
          const { api } = stage
          await api.policy.reload()
          const { current, old } = await superseded(stage)
          const swept = async (more: object = {}) => (await api.retention.sweep({ actor: becca, ...more })).classes
          equal(await swept(), [{ class: 'work', erased: 0 }])
          await refused(api.retention.sweep({ actor: stranger }), 'ERASURE_DENIED')
          await pass(stage, 399)
          equal(await swept(), [{ class: 'work', erased: 0 }])
          await pass(stage, 2)
          equal(await swept({ dry_run: true }), [{ class: 'work', erased: 1 }])
          is((await api.workspaces.object({ digest: old })).digest, old)
          equal(await swept(), [{ class: 'work', erased: 1 }])
          await refused(api.workspaces.object({ digest: old }), 'OBJECT_ERASED')
          is((await api.workspaces.object({ digest: current })).digest, current)
          equal(await swept(), [{ class: 'work', erased: 0 }])
        })
      },
      'counts what is due but held, and erases it once the hold is lifted': async ({ apart }) => {
        await apart({ retention: { classes } }, async (stage) => {
          const { api } = stage
          await api.policy.reload()
          const { old, run_id } = await superseded(stage)
          const { hold_id } = await api.retention.hold({ actor: becca, class: 'work', reason: 'regulator' })
          await pass(stage, 401)
          const { classes: none, held } = await api.retention.sweep({ actor: becca })
          equal([none, held], [[{ class: 'work', erased: 0 }], 1])
          await api.retention.hold({ actor: becca, reason: 'litigation', run_id })
          await api.retention.lift({ actor: becca, hold_id })
          is((await api.retention.sweep({ actor: becca })).held, 1)
          const [hold] = (await api.retention.show()).holds
          await api.retention.lift({ actor: becca, hold_id: hold?.hold_id ?? '' })
          equal((await api.retention.sweep({ actor: becca })).classes, [{ class: 'work', erased: 1 }])
          await refused(api.workspaces.object({ digest: old }), 'OBJECT_ERASED')
        })
      },
      'erases free texts that are old enough and not held, once': async ({ apart }) => {
        const words = { classes: { words: { covers: ['text'], delete_after: '400d' } } }
        await apart({ retention: words }, async (stage) => {
          const { api } = stage
          await api.policy.reload()
          const [held, free] = [newName('run_held'), newName('run_free')]
          for (const run_id of [held, free])
            await api.runs.create({ notes: 'what was said', run_id, run_kind: 'orchestrator', run_name: 'a talk' })
          await pass(stage, 401)
          const { hold_id } = await api.retention.hold({ actor: becca, reason: 'audit', run_id: held })
          const { seq: young } = (await api.audit.append({ events: [told] })).events[0] ?? { seq: 0 }
          const dry = await api.retention.sweep({ actor: becca, dry_run: true })
          equal([dry.classes, dry.held], [[{ class: 'words', erased: 2 }], 2])
          const swept = await api.retention.sweep({ actor: becca })
          equal([swept.classes, swept.held, swept.files], [dry.classes, 2, 'current'])
          const notesOf = async (run_id: string) => (await api.runs.get({ run_id })).notes
          equal([await notesOf(free), await notesOf(held)], ['[erased]', 'what was said'])
          is((await api.log.entry({ seq: young })).data.notes, told.notes)
          await api.retention.lift({ actor: becca, hold_id })
          equal((await api.retention.sweep({ actor: becca })).classes, dry.classes)
          equal((await api.retention.sweep({ actor: becca })).classes, [{ class: 'words', erased: 0 }])
          is(await notesOf(held), '[erased]')
        })
      },
      'keeps texts for six months, unless an entry confirms a shorter time': async ({ apart }) => {
        const brief = { classes: { work: { covers: ['body'], delete_after: '1d' } } }
        await apart({ retention: brief }, async (stage) => {
          const { api, root } = stage
          await api.policy.reload()
          await superseded(stage)
          const erased = async () => (await api.retention.sweep({ actor: becca })).classes[0]?.erased
          await pass(stage, 30)
          is(await erased(), 0)
          edit(root, { retention: { ...brief, minimum: '10d' } })
          await refused(api.config.reload({ actor: becca }), 'RETENTION_UNCONFIRMED')
          await refused(api.config.reload({ actor: becca, confirm_retention_minimum: '11d' }), 'RETENTION_UNCONFIRMED')
          is(await erased(), 0)
          await api.config.reload({ actor: becca, confirm_retention_minimum: '10d' })
          is(await erased(), 1)
        })
      },
    },
  },
}
