import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { equal, is, ok } from 'uvu/assert'
import { verifyExport } from '../../../src/nouns/exports/export-verify.ts'
import { type Cases, newName, refused, type Stage } from '../stage.ts'

const lawyer = { actor_id: 'lawyer-1', actor_type: 'human' } as const
const ana = { actor_id: 'ana', actor_type: 'human' } as const
const select = { run_id: 'run_export_1' }
const governed = {
  actor: lawyer,
  lane_id: 'EXPORT_CASE_DATA',
  role_id: 'ATTORNEY_ADMIN',
  scope: { case_id: 'CASE-17', export_reason: 'asked for by the court' },
  select,
}
const yearMillis = 365 * 24 * 60 * 60 * 1_000
const create = ({ api }: Stage, more: object = {}) =>
  api.exports.create({ ...governed, file: `${newName('bundle')}.tar.gz`, ...more })

export const exports: Cases<'exports'> = {
  begin: async ({ api }) => {
    await api.policy.reload()
    await api.runs.create({ ...select, case_id: 'CASE-17', run_kind: 'orchestrator' })
    await api.runs.start(select)
    await api.runs.complete({ ...select, outcome_reason: 'done' })
  },
  of: {
    approve: {
      'records the approval of a human who has the role': async ({ api }) => {
        const input = { actor: lawyer, approval_type: 'compliance' as const, select }
        const { event_id, expires_at, seq, size } = await api.exports.approve(input)
        const entry = await api.log.entry({ seq })
        equal([entry.event_id, entry.type, entry.actor.role_id], [event_id, 'approval.given', 'COMPLIANCE'])
        equal([expires_at, size], [null, seq])
        ok((await api.exports.approve(input)).seq > seq)
        for (const actor of [{ actor_id: 'agent-7', actor_type: 'agent' } as const, { ...lawyer, role_id: 'INTAKE' }]) {
          await refused(api.exports.approve({ ...input, actor }), 'APPROVAL_DENIED')
        }
      },
      'answers a repeated request with the first approval': async ({ api }) => {
        const key = { idempotency_key: newName('key') }
        const input = { ...key, actor: lawyer, approval_type: 'compliance' as const, select }
        const { replayed: _, ...first } = await api.exports.approve(input)
        equal(await api.exports.approve(input), { ...first, replayed: true })
        await refused(api.exports.approve({ ...input, bundle_kind: 'other' }), 'IDEMPOTENCY_MISMATCH')
      },
      'refuses an approval that would have expired by the time of entries': async ({ apart }) => {
        await apart({}, async ({ api, clock }) => {
          clock.advance(100 * yearMillis)
          await api.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
          clock.advance(-100 * yearMillis)
          const input = { actor: lawyer, approval_type: 'compliance' as const, expires_in_s: 60, select }
          await refused(api.exports.approve(input), 'CLOCK_AHEAD')
        })
      },
    },
    create: {
      'writes the same bundle for the same selection': async (stage) => {
        const { size } = await stage.api.head.get()
        const one = await create(stage, { size })
        const two = await create(stage, { size })
        is(one.bundle.bundle_id, two.bundle.bundle_id)
        equal(one.bundle.integrity.package_hash_sha256, two.bundle.integrity.package_hash_sha256)
        ok(one.file.startsWith(`${stage.root}/`), 'a relative path is below the root')
        const entriesIn = async (file: string) => (await verifyExport(file, { unauthenticated: true })).proven.entries
        is(await entriesIn(one.file), await entriesIn(two.file))
        await refused(create(stage, { file: one.file }), 'INVALID_INPUT')
      },
      'needs approvals, each for this export alone': async ({ apart }) => {
        await apart({ exports: { approvals_required: ['attorney_admin'] } }, async (stage) => {
          const { api } = stage
          await exports.begin?.(stage)
          const { size } = await api.head.get()
          const input = { actor: ana, approval_type: 'attorney_admin' as const, select, size }
          const { approval_id } = await api.exports.approve(input)
          await refused(create(stage, {}), 'RUN_DENIED')
          await refused(create(stage, { approvals: [approval_id], bundle_kind: 'other' }), 'RUN_DENIED')
          const { bundle, file } = await create(stage, { approvals: [approval_id] })
          equal(
            bundle.approvals?.map(({ approved_by }) => approved_by),
            [ana.actor_id],
          )
          is((await verifyExport(file, { unauthenticated: true })).proven.approvals[0]?.approval_id, approval_id)
          await refused(create(stage, { approvals: [approval_id] }), 'RUN_DENIED')
        })
      },
      'leaves no file of what is refused': async (stage) => {
        const file = join(stage.root, 'refused.tar.gz')
        await refused(create(stage, { file, scope: {} }), 'RUN_DENIED')
        await refused(create(stage, { file, select: { run_id: 'run_nowhere' } }), 'NOT_FOUND')
        const terse = { lane_id: 'PROMOTE_SHARED_KNOWLEDGE', bundle_description: 'two words' }
        await refused(create(stage, { file, ...terse }), 'FREE_TEXT_DENIED')
        ok(!existsSync(file))
      },
      'is refused below a run that takes no other': async (stage) => {
        const { runs } = stage.api
        await refused(create(stage, { parent_run_id: select.run_id, actor: lawyer }), 'NOT_RUN_ACTOR')
        const of = { actor: lawyer, run_id: newName('run_parent') }
        await runs.create({ ...of, run_kind: 'orchestrator' })
        await runs.start({ ...of, lease_duration_s: 60 })
        stage.clock.advance(61_000)
        await refused(create(stage, { parent_run_id: of.run_id }), 'RUN_LEASE_EXPIRED')
        await refused(create(stage, { parent_run_id: of.run_id }), 'RUN_ANCESTOR_ENDED')
      },
    },
    get: {
      'gives the record of a bundle, by its id or its run': async (stage) => {
        const { bundle, run_id } = await create(stage)
        const record = await stage.api.exports.get({ run_id })
        equal([record.bundle, record.run_id], [bundle, run_id])
        is((await stage.api.exports.get({ bundle_id: bundle.bundle_id })).bundle.bundle_id, bundle.bundle_id)
        await refused(stage.api.exports.get({ bundle_id: 'bnd_nowhere' }), 'NOT_FOUND')
      },
    },
  },
}
