import { equal, is, ok } from 'uvu/assert'
import { all, becca, type Cases, newName, refused, type Stage, stranger } from '../stage.ts'

const ann = { actor_id: 'ann', actor_type: 'human' } as const
const yearMillis = 365 * 24 * 60 * 60 * 1_000
const reason = 'data_subject_request' as const
const noDigest = '0'.repeat(64)
const noApproval = `era_${'0'.repeat(21)}`

/** A run with a stem that was promoted twice. Only the first body is not needed any more. */
export async function superseded({ api }: Stage, more: object = {}) {
  const run_id = newName('run_erased')
  await api.runs.create({ run_id, run_kind: 'orchestrator', ...more })
  await api.runs.start({ run_id })
  const digests: string[] = []
  for (const turn_id of ['turn-0001', 'turn-0002']) {
    const body = { dto_type: 'note', id: run_id, text: `what ${run_id} said in ${turn_id}` }
    await api.turns.apply({ run_id, turn_id, triplets: [{ body, stem: 'note' }] })
    const [triplet] = await all(api.workspaces.triplets({ run_id }))
    digests.push(triplet?.body_digest ?? '')
  }
  const [old = '', current = ''] = digests
  return { current, old, run_id }
}

/** Erases as one person, with the approval of another. */
async function erase({ api }: Stage, digests: string[]) {
  const { approval_id } = await api.erasures.approve({ actor: becca, digests, reason })
  return api.erasures.erase({ actor: ann, approval_id, digests, reason })
}

const config = { operators: ['ann'] }

export const erasures: Cases<'erasures'> = {
  of: {
    approve: {
      'binds the objects and the reason, and is given once for one request': async ({ api }) => {
        const request = { actor: becca, digests: [noDigest], idempotency_key: newName('key'), reason }
        const { replayed, ...first } = await api.erasures.approve(request)
        equal([replayed, first.digests, first.reason, first.expires_at], [false, [noDigest], reason, null])
        is((await api.log.entry({ seq: first.seq })).type, 'erasure.approved')
        equal(await api.erasures.approve(request), { ...first, replayed: true })
        await refused(api.erasures.approve({ ...request, reason: 'court_order' }), 'IDEMPOTENCY_MISMATCH')
      },
      'is for human operators, and refuses an end that has come': async ({ apart }) => {
        await apart({ operators: ['agent-9'] }, async ({ api, clock }) => {
          const asked = { digests: [noDigest], reason }
          await refused(api.erasures.approve({ ...asked, actor: ann }), 'ERASURE_DENIED')
          await refused(api.erasures.approve({ ...asked, actor: stranger }), 'ERASURE_DENIED')
          clock.advance(100 * yearMillis)
          await api.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
          clock.advance(-100 * yearMillis)
          await refused(api.erasures.approve({ ...asked, actor: becca, expires_in_s: 60 }), 'CLOCK_AHEAD')
        })
      },
    },
    erase: {
      'removes an object that is not needed, and every proof of before still verifies': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          await api.policy.reload()
          const { current, old, run_id } = await superseded(stage)
          const before = await api.head.signed()
          const answer = await erase(stage, [old])
          equal([answer.digests, answer.files, answer.replayed], [[old], 'current', false])
          equal((await api.log.entry({ seq: answer.seq })).data, {
            approval_id: answer.approval_id,
            class: null,
            digests: [old],
            reason,
          })
          await refused(api.workspaces.object({ digest: old }), 'OBJECT_ERASED')
          ok((await api.workspaces.object({ digest: current })).text.includes('turn-0002'))
          is((await api.log.consistency({ from: before.size })).from_root, before.root)
          const again = { actor: ann, approval_id: answer.approval_id, digests: [old], reason }
          is((await api.erasures.erase(again)).replayed, true)
          is((await api.workspaces.check({ run_id })).files > 0, true)
        })
      },
      'the same text may be staged again, and is then stored again': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          await api.policy.reload()
          const { old, run_id } = await superseded(stage)
          const { text } = await api.workspaces.object({ digest: old })
          await erase(stage, [old])
          const again = { run_id, triplets: [{ body: JSON.parse(text), stem: 'note' }] }
          // A proposal that is refused stores nothing.
          await refused(api.turns.stage({ ...again, turn_id: 'turn-0009' }), 'E_PROMOTION_OUT_OF_ORDER')
          await refused(api.workspaces.object({ digest: old }), 'OBJECT_ERASED')
          await api.log.verify()
          await api.turns.apply({ ...again, turn_id: 'turn-0003' })
          is((await api.workspaces.object({ digest: old })).text, text)
        })
      },
      'needs the approval of exactly this erasure by another operator': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          await api.policy.reload()
          const { current, old } = await superseded(stage)
          const asked = { actor: ann, digests: [old], reason }
          await refused(api.erasures.erase({ ...asked, approval_id: noApproval }), 'ERASURE_DENIED')
          const own = await api.erasures.approve(asked)
          await refused(api.erasures.erase({ ...asked, approval_id: own.approval_id }), 'ERASURE_DENIED')
          const { approval_id } = await api.erasures.approve({ ...asked, actor: becca })
          await refused(api.erasures.erase({ ...asked, actor: stranger, approval_id }), 'ERASURE_DENIED')
          await refused(api.erasures.erase({ ...asked, approval_id, reason: 'court_order' }), 'ERASURE_DENIED')
          await refused(api.erasures.erase({ ...asked, approval_id, digests: [old, current] }), 'ERASURE_DENIED')
          await refused(api.erasures.erase({ ...asked, approval_id, digests: [noDigest] }), 'NOT_FOUND')
          is((await api.erasures.erase({ ...asked, approval_id })).replayed, false)
        })
      },
      'refuses what the ledger still needs': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          await api.policy.reload()
          const { current, old, run_id } = await superseded(stage)
          const [triplet] = await all(api.workspaces.triplets({ run_id }))
          const { settings: _, sha256 } = await api.config.show()
          for (const digest of [current, triplet?.links_digest ?? '', sha256 ?? '']) {
            await refused(erase(stage, [digest]), 'OBJECT_IN_USE')
          }
          const { text } = await api.workspaces.object({ digest: old })
          const triplets = [{ body: JSON.parse(text), stem: 'other' }]
          await api.turns.stage({ run_id, triplets: [{ ...triplets[0], stem: 'note' }], turn_id: 'turn-0003' } as never)
          is((await refused(erase(stage, [old]), 'OBJECT_IN_USE')).details.for, 'open')
          await api.turns.reject({ reason: 'not wanted', run_id, turn_id: 'turn-0003' })
          is((await erase(stage, [old])).files, 'current')
        })
      },
      'refuses what a legal hold covers, until it is lifted': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          await api.policy.reload()
          const { old, run_id } = await superseded(stage)
          const { hold_id } = await api.retention.hold({ actor: ann, reason: 'litigation', run_id })
          is((await refused(erase(stage, [old]), 'LEGAL_HOLD')).details.hold_id, hold_id)
          await api.retention.lift({ actor: ann, hold_id })
          is((await erase(stage, [old])).digests[0], old)
        })
      },
    },
  },
}
