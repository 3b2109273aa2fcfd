import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ApproveExport } from '../../src/api/shapes/exports.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { openLedger } from '../../src/open.ts'
import { human, select } from '../support/approvals.ts'
import { type Bundle, changed, pack, resealed, spread, unpack } from '../support/bundle.ts'
import { entriesOf } from '../support/entries.ts'
import { bundlesIn, codeOf, failedCheck, governed } from '../support/exports.ts'
import { endsWithVerify, testActor } from '../support/ledger.ts'
import { configure } from '../support/scene.ts'
import { verifyBundle } from '../support/second-verifier.ts'

const exports = suite('bundles with approvals')
const both = { exports: { approvals_required: ['attorney_admin', 'compliance'] } }
const of = (title: string, work: Parameters<ReturnType<typeof bundlesIn>>[1], config: Record<string, unknown> = both) =>
  bundlesIn(exports)(title, work, config)

async function approved(ledger: LocalLedger, more: Partial<ApproveExport> = {}): Promise<string[]> {
  const { size } = await ledger.head.get()
  const of = { select, size, ...more }
  const one = await ledger.exports.approve({ ...of, actor: human('ana'), approval_type: 'attorney_admin' })
  const two = await ledger.exports.approve({ ...of, actor: human('ben'), approval_type: 'compliance', notes: 'asked' })
  return [one.approval_id, two.approval_id]
}

of('have the entries of the approvals and their proofs, which verify without the ledger', async (stage) => {
  const { create, ledger, place, vkey } = stage
  const approvals = await approved(ledger)
  const { bundle, file, run_id } = await create(select, { approvals })
  const { proven: verified } = await verifyExport(file, { vkey })
  assert.equal(
    verified.approvals.map(({ approval_id, approved_by }) => [approval_id, approved_by]),
    [
      [approvals[0], 'ana'],
      [approvals[1], 'ben'],
    ],
  )
  assert.is((await verifyExport(spread(unpack(file), place('folder')), { vkey })).proven.approvals.length, 2)
  assert.ok(verifyBundle(file, vkey).length > 20)
  const all = await entriesOf(ledger)
  const proven = all.filter(({ type }) => /^approval\.(?:given|used)$/.test(type))
  const text = unpack(file).get('approvals/entries.jsonl')?.toString('utf8')
  const hashed = await Promise.all(proven.map(async ({ seq }) => (await ledger.log.prove({ seq })).entry))
  assert.is(text, hashed.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
  assert.equal(
    proven.slice(2).map((entry) => entry.run_id),
    [run_id, run_id],
  )
  assert.equal(
    bundle.approvals?.map(({ approved_by, notes }) => [approved_by, notes]),
    [
      ['ana', undefined],
      ['ben', 'asked'],
    ],
  )
  const decided = all.find(({ data, type }) => type === 'run.decided' && data.bundle !== undefined)
  const { bundle: allowed } = (decided?.data ?? {}) as { bundle?: { approvals: string[] } }
  assert.equal(allowed?.approvals, approvals)
  const again = await create(select, { approvals: await approved(ledger, { size: verified.size }) })
  assert.is.not(again.bundle.bundle_id, bundle.bundle_id, 'other approvals make another bundle')
})

of('fail with anything about the approvals changed, even by the owner of the key', async (stage) => {
  const { create, ledger, place, root, vkey } = stage
  const { file } = await create(select, { approvals: await approved(ledger) })
  const other = await create(
    { run_id: 'run_top_1' },
    { approvals: await approved(ledger), bundle_kind: 'internal_review' },
  )
  const [files, others] = [unpack(file), unpack(other.file)]
  let packed = 0
  const packAs = (changes: Bundle) => {
    packed += 1
    return pack(changes, place(`changed-${packed}.tar.gz`))
  }
  const sealed = async (changes: Bundle) => failedCheck(await packAs(resealed(changes, root)), vkey)
  const lines = (change: (all: string[]) => string[]) => (text: string) =>
    `${change(text.trimEnd().split('\n')).join('\n')}\n`
  const inBoth = (change: (text: string) => string) =>
    changed(changed(files, 'approvals/entries.jsonl', change), 'approvals/inclusion.jsonl', change)
  const names = [...files.keys()].filter((name) => name.startsWith('approvals/'))
  assert.is(names.length, 4)
  for (const name of names) {
    const cut = changed(files, name, (text) => text.slice(0, -2))
    assert.is(await failedCheck(await packAs(cut), vkey), 'statement', name)
    assert.is(await sealed(cut), 'approvals', name)
    const without = new Map([...files].filter(([file]) => file !== name))
    assert.is(await failedCheck(await packAs(without)), 'archive', name)
    assert.is(await failedCheck(spread(without, place(`without-${names.indexOf(name)}`))), 'archive', name)
  }
  for (const drop of [0, 1, 2, 3]) {
    assert.is(await sealed(inBoth(lines((all) => all.filter((_, at) => at !== drop)))), 'approvals', `line ${drop}`)
  }
  assert.is(await sealed(inBoth(lines((all) => [...all, ...all.slice(-1)]))), 'approvals')
  assert.is(await sealed(inBoth(lines(([one = '', two = '', ...rest]) => [two, one, ...rest]))), 'approvals')
  const renamed = changed(files, 'approvals/entries.jsonl', (text) => text.replace('"ana"', '"eva"'))
  assert.is(await sealed(renamed), 'approvals')
  // The approvals of another export are proven too, but they bind another size.
  const swapped = new Map(
    [...files].map(([name, bytes]) => [name, names.includes(name) ? (others.get(name) ?? bytes) : bytes]),
  )
  assert.is(await sealed(swapped), 'approvals')
  const unapproved = new Map([...files].filter(([name]) => !names.includes(name)))
  assert.is(await sealed(unapproved), 'manifest')
})

of(
  'are not made with the approval of a human who has lost the role',
  async ({ ledger, place, root }) => {
    const approvals = await approved(ledger)
    await ledger.close()
    configure(root, { ...both, actors: { ana: ['ATTORNEY_ADMIN'], 'lawyer-1': ['ATTORNEY_ADMIN'] } })
    const again = await openLedger({ actor: testActor, dir: root, self_check: true })
    try {
      const asked = { ...governed, approvals, file: place('later.tar.gz'), select }
      assert.is(await codeOf(again.exports.create(asked)), 'RUN_DENIED')
      const { decision_id, rule_ids } =
        (await again.runs.why({ run_id: (await again.runs.list({ run_kind: 'export' })).runs[0]?.run_id ?? '' }))
          .denied ?? {}
      assert.ok(decision_id)
      assert.equal(rule_ids, [`approval:${approvals[1]}/role:COMPLIANCE`])
    } finally {
      await again.close()
    }
    await endsWithVerify(root)
  },
  {
    ...both,
    actors: {
      ana: ['ATTORNEY_ADMIN'],
      ben: ['COMPLIANCE'],
      'agent-1': ['INTERVIEW_AGENT'],
      'lawyer-1': ['ATTORNEY_ADMIN'],
    },
  },
)

exports.run()
