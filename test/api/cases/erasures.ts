import { equal, is, ok } from 'uvu/assert'
import { all, becca, type Cases, newName, refused, type Stage, stranger } from '../stage.ts'

const ann = { actor_id: 'ann', actor_type: 'human' } as const
const yearMillis = 365 * 24 * 60 * 60 * 1_000
const reason = 'data_subject_request' as const
const noDigest = '0'.repeat(64)
const config = { operators: ['ann'] }
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

const erasedText = '[erased]'
const minutes = { notes: 'the witness lives at 17 Elm Street', run_name: 'talk with the witness' }

/** Two runs of a case with free texts, one of which has ended. */
async function talked({ api }: Stage) {
  await api.policy.reload()
  const case_id = newName('CASE')
  const runs = ['open', 'ended'].map((name) => newName(`run_${name}`))
  for (const run_id of runs) {
    await api.runs.create({ case_id, run_id, run_kind: 'orchestrator', ...minutes })
    await api.runs.start({ run_id })
  }
  const [open = '', ended = ''] = runs
  await api.runs.complete({ outcome_reason: 'all_said', run_id: ended })
  return { case_id, ended, open }
}

/** Erases free texts as one person, with the approval of another. */
async function eraseTexts({ api }: Stage, texts: Parameters<typeof api.erasures.preview>[0]['texts']) {
  const { approval_id } = await api.erasures.approve({ actor: becca, reason, texts })
  return api.erasures.erase({ actor: ann, approval_id, texts: true })
}

export const erasures: Cases<'erasures'> = {
  of: {
    preview: {
      'shows the free texts by entry, and a legal hold on them': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          const { case_id, ended, open } = await talked(stage)
          const { size } = await api.head.get()
          const all = await api.erasures.preview({ texts: { case_id } })
          equal([all.count, all.hold_id, all.more], [5, null, false])
          equal(all.selection, { case_id, from: 0, to: size })
          const one = await api.erasures.preview({ texts: { fields: ['/data/notes'], run_id: open } })
          equal(
            one.texts.map(({ paths }) => paths),
            [['/data/notes']],
          )
          is((await api.log.entry({ seq: one.texts[0]?.seq ?? 0 })).run_id, open)
          const { hold_id } = await api.retention.hold({ actor: becca, reason: 'audit', run_id: ended })
          is((await api.erasures.preview({ texts: { case_id } })).hold_id, hold_id)
          await api.retention.lift({ actor: becca, hold_id })
          await refused(api.erasures.preview({ texts: { from: 1, to: 1 } }), 'INVALID_INPUT')
          await refused(api.erasures.preview({ texts: { to: 1_000_000 } }), 'INVALID_INPUT')
        })
      },
    },
    approve: {
      'binds the objects and the reason, and is given once for one request': async ({ api }) => {
        const request = { actor: becca, digests: [noDigest], idempotency_key: newName('key'), reason }
        const { replayed, ...first } = await api.erasures.approve(request)
        equal([replayed, first.digests, first.reason, first.expires_at], [false, [noDigest], reason, null])
        is((await api.log.entry({ seq: first.seq })).type, 'erasure.approved')
        equal(await api.erasures.approve(request), { ...first, replayed: true })
        await refused(api.erasures.approve({ ...request, reason: 'court_order' }), 'IDEMPOTENCY_MISMATCH')
      },
      'binds the free texts that there are so far': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          const { case_id } = await talked(stage)
          const { size } = await api.head.get()
          const request = { actor: becca, idempotency_key: newName('key'), reason, texts: { case_id } }
          const { replayed, ...first } = await api.erasures.approve(request)
          equal([replayed, first.digests, first.texts], [false, [], { case_id, from: 0, to: size }])
          equal(await api.erasures.approve(request), { ...first, replayed: true })
          await refused(api.erasures.approve({ ...request, texts: {} }), 'IDEMPOTENCY_MISMATCH')
          const none = { actor: becca, reason, texts: { case_id: newName('CASE') } }
          await refused(api.erasures.approve(none), 'NOT_FOUND')
        })
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
      'removes free texts everywhere, once, and every proof of before still verifies': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          const { case_id, ended, open } = await talked(stage)
          const before = await api.head.signed()
          const { texts } = await api.erasures.preview({ texts: { case_id } })
          const { approval_id } = await api.erasures.approve({ actor: becca, reason, texts: { case_id } })
          await api.runs.complete({ outcome_reason: 'said_later', run_id: open })
          const asked = { actor: ann, approval_id, texts: true } as const
          const answer = await api.erasures.erase(asked)
          equal([answer.digests, answer.files, answer.replayed, answer.texts], [[], 'current', false, 5])
          equal((await api.log.entry({ seq: answer.seq + 1 })).data, { approval_id, class: null, reason, texts })
          for (const run_id of [ended, open]) {
            const { notes, run_name } = await api.runs.get({ run_id })
            equal([notes, run_name], [erasedText, erasedText])
          }
          is((await api.runs.get({ run_id: ended })).outcome, erasedText)
          is((await api.runs.get({ run_id: open })).outcome, 'said_later')
          for (const { seq } of texts) {
            const { disclosures, root } = await api.log.prove({ seq, size: before.size })
            equal([disclosures, root], [[], before.root])
          }
          equal(await api.erasures.erase(asked), { ...answer, replayed: true })
          await refused(
            api.erasures.approve({ actor: becca, reason, texts: { case_id, to: before.size } }),
            'NOT_FOUND',
          )
        })
      },
      'of free texts needs the approval of another operator, and refuses what is held': async ({ apart }) => {
        await apart(config, async (stage) => {
          const { api } = stage
          const { open } = await talked(stage)
          const texts = { run_id: open }
          const asked = { actor: ann, texts: true } as const
          await refused(api.erasures.erase({ ...asked, approval_id: noApproval }), 'ERASURE_DENIED')
          const own = await api.erasures.approve({ actor: ann, reason, texts })
          await refused(api.erasures.erase({ ...asked, approval_id: own.approval_id }), 'ERASURE_DENIED')
          const objects = await api.erasures.approve({ actor: becca, digests: [noDigest], reason })
          await refused(api.erasures.erase({ ...asked, approval_id: objects.approval_id }), 'ERASURE_DENIED')
          const { hold_id } = await api.retention.hold({ actor: ann, reason: 'litigation', run_id: open })
          is((await refused(eraseTexts(stage, texts), 'LEGAL_HOLD')).details.hold_id, hold_id)
          is((await api.runs.get({ run_id: open })).notes, minutes.notes)
          await api.retention.lift({ actor: ann, hold_id })
          is((await eraseTexts(stage, texts)).texts, 2)
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
