import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { CreatedExport, CreateExport } from '../../src/api/shapes/exports.ts'
import { exportBundleSchema, exportManifestSchema } from '../../src/domain/export/bundle.ts'
import { hold } from '../../src/lease.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { openLedger } from '../../src/open.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { changed, pack, resealed, spread, unpack } from '../support/bundle.ts'
import { entriesOf, lastOf, typesAppended } from '../support/entries.ts'
import { bundlesIn, codeOf, failedCheck, governed, scope } from '../support/exports.ts'
import { copyLedger, temporaryRoot, testActor } from '../support/ledger.ts'
import { withLog } from '../support/opened-log.ts'
import { verifyBundle } from '../support/second-verifier.ts'

const exports = suite('export bundles')

const of = bundlesIn(exports)

of('hold a tree, a case, a lock or a range, whole, and verify here and by a second verifier', async (stage) => {
  const { create, ledger, vkey } = stage
  const entries = await entriesOf(ledger)
  const tree = entries.filter(({ case_id }) => case_id === 'CASE-17')
  const size = (await ledger.head.get()).size
  const selections: [CreateExport['select'], unknown[]][] = [
    [{ run_id: 'run_top_1' }, tree],
    [{ case_id: 'CASE-17' }, tree],
    [{ lock: 'reports' }, entries.filter(({ stream }) => stream === 'lock/resource:reports')],
    [{ from: 2, to: 6 }, entries.slice(2, 7)],
  ]
  assert.ok(tree.length > 20)
  for (const [select, wanted] of selections) {
    const { bundle, file, record_file } = await create(select, { size })
    assert.equal(verifyBundle(file, vkey), JSON.parse(JSON.stringify(wanted)), JSON.stringify(select))
    const { authenticity, proven: verified } = await verifyExport(file, { vkey })
    assert.equal([authenticity, verified.entries, verified.size], ['checked', wanted.length, size])
    assert.is(verified.manifest_hash_sha256, bundle.integrity.manifest_hash_sha256)
    assert.is(verified.package_hash_sha256, bundle.integrity.package_hash_sha256)
    assert.equal(exportBundleSchema.parse(JSON.parse(readFileSync(record_file, 'utf8'))), bundle)
    const manifest = JSON.parse(unpack(file).get('manifest.json')?.toString('utf8') ?? '')
    assert.equal(exportManifestSchema.parse(manifest), manifest)
    assert.equal({ ...manifest, export_reason: scope.export_reason, integrity: bundle.integrity }, bundle)
    assert.is((await verifyExport(file, { unauthenticated: true })).authenticity, 'unchecked')
    const { proven } = await verifyExport(spread(unpack(file), `${file}.d`), { vkey })
    assert.is(proven.package_hash_sha256, verified.package_hash_sha256)
  }
})

of('of one size are the same bytes, whatever was appended since', async ({ create, ledger }) => {
  const size = (await ledger.head.get()).size
  const first = await create({ run_id: 'run_top_1' })
  await hold(ledger, { name: 'charts', holder: 'agent-1' })
  const second = await create({ run_id: 'run_top_1' }, { size })
  assert.ok(readFileSync(first.file).equals(readFileSync(second.file)))
  const later = await create({ run_id: 'run_top_1' })
  assert.is.not(later.bundle.bundle_id, first.bundle.bundle_id)
})

of('say what only who exports can say, as a part of what they are', async ({ create, place, root, vkey }) => {
  const select = { run_id: 'run_top_1' }
  const stated = {
    bundle_description: 'What the court\nasked for.',
    bundle_name: 'Production 1',
    matter_id: 'M-2026-1',
    redaction: { contains_privileged: false, notes: 'names', redaction_applied: true, redaction_profile_id: 'court-1' },
  }
  const plain = await create(select)
  const { size } = (await verifyExport(plain.file, { vkey })).proven
  const first = await create(select, { ...stated, size })
  const second = await create(select, { ...stated, size })
  assert.ok(readFileSync(first.file).equals(readFileSync(second.file)))
  const manifest = JSON.parse(unpack(first.file).get('manifest.json')?.toString('utf8') ?? '')
  for (const [member, value] of Object.entries(stated)) assert.equal(manifest[member], value, member)
  assert.is((await verifyExport(first.file, { vkey })).proven.bundle_id, first.bundle.bundle_id)
  assert.ok(verifyBundle(first.file, vkey).length > 20)
  for (const other of [{}, { ...stated, bundle_name: 'Production 2' }]) {
    assert.is.not((await create(select, { ...other, size })).bundle.bundle_id, first.bundle.bundle_id)
  }
  // Also by the owner of the key: what is stated is a part of the id.
  const renamed = changed(unpack(first.file), 'manifest.json', (text) => text.replace('Production 1', 'Production 9'))
  assert.is(await failedCheck(await pack(resealed(renamed, root), place('renamed.tar.gz')), vkey), 'manifest')
  for (const wrong of [
    { bundle_name: 'n'.repeat(201) },
    { bundle_description: 'd'.repeat(1_001) },
    { redaction: { redaction_profile_id: 'court-1' } },
    { redaction: { redaction_applied: true, text: 'what was there' } },
    { signatures: [] },
  ]) {
    assert.is(await codeOf(create(select, wrong as never)), 'INVALID_INPUT', JSON.stringify(wrong))
  }
})

of(
  'have no record in the ledger any more once it was erased',
  async ({ create, ledger }) => {
    const { run_id } = await create({ run_id: 'run_top_1' })
    const [ann, becca] = ['ann', 'BECCA'].map((actor_id) => ({ actor_id, actor_type: 'human' as const }))
    const { event_id } = await ledger.exports.get({ run_id })
    const { data } = await ledger.log.entry({ seq: Number(event_id.split('_').at(-1)) })
    const erasure = { digests: [String(data.record_digest)], reason: 'court_order' as const }
    const { approval_id } = await ledger.erasures.approve({ ...erasure, actor: becca })
    await ledger.erasures.erase({ ...erasure, actor: ann, approval_id })
    assert.is(await codeOf(ledger.exports.get({ run_id })), 'OBJECT_ERASED')
    await ledger.log.verify()
  },
  { operators: ['ann'] },
)

of('have their record in the ledger, by bundle and by run, whatever becomes of the file', async (stage) => {
  const { create, ledger, root } = stage
  const size = (await ledger.head.get()).size
  const first = await create({ run_id: 'run_top_1' }, { size })
  const second = await create({ run_id: 'run_top_1' }, { size })
  const other = await create({ lock: 'reports' }, { size })
  const text = readFileSync(first.record_file, 'utf8')
  rmSync(first.record_file)
  const record = await ledger.exports.get({ run_id: first.run_id })
  assert.is(`${JSON.stringify(record.bundle, null, 2)}\n`, text)
  assert.is(record.run_id, first.run_id)
  assert.equal((await ledger.exports.get({ bundle_id: first.bundle.bundle_id })).run_id, second.run_id)
  assert.equal((await ledger.exports.get({ bundle_id: other.bundle.bundle_id })).bundle, other.bundle)
  const { data } = await ledger.log.entry({ seq: Number(record.event_id.split('_').at(-1)) })
  const digest = createHash('sha256').update(text).digest('hex')
  assert.equal(
    [data.record_digest, (data.output_artifacts as { hash_sha256: string }[])[1]?.hash_sha256],
    [digest, digest],
  )
  for (const nobody of [{ run_id: 'run_top_1' }, { run_id: 'run_nobody' }, { bundle_id: 'bnd_nothing' }]) {
    assert.is(await codeOf(ledger.exports.get(nobody)), 'NOT_FOUND')
  }
  await ledger.log.verify()
  await ledger.close()
  await withLog(root, async (log) => {
    await rebuildViews(log)
    assert.equal(log.objects.missing([digest]), [])
  })
  const again = await openLedger({ dir: root, actor: testActor })
  try {
    assert.equal((await again.exports.get({ run_id: first.run_id })).bundle, record.bundle)
    await again.log.verify()
  } finally {
    await again.close()
  }
  const copy = join(temporaryRoot(), 'copy')
  copyLedger(root, copy)
  await withLog(copy, (log) => log.objects.drop([digest], []))
  const damaged = await openLedger({ dir: copy, actor: testActor })
  try {
    assert.is(await codeOf(damaged.exports.get({ run_id: first.run_id })), 'LEDGER_CORRUPT')
    assert.is(await codeOf(damaged.log.verify()), 'VERIFY_FAILED')
  } finally {
    await damaged.close()
  }
})

of('take no free text where the lane prohibits raw case text', async ({ create, ledger, place, root }) => {
  const lanes = join(root, '.lockstep/policy/lanes.yaml')
  writeFileSync(
    lanes,
    readFileSync(lanes, 'utf8').replace('[raw_external_destination,', '[raw_external_destination, raw_case_text,'),
  )
  await ledger.policy.reload({ actor: { actor_id: 'BECCA', actor_type: 'human' } })
  const before = await ledger.head.get()
  const select = { lock: 'reports' }
  const notes = 'the client said'
  for (const more of [{ bundle_description: notes }, { redaction: { redaction_applied: true, notes } }]) {
    assert.is(await codeOf(create(select, more)), 'FREE_TEXT_DENIED')
  }
  assert.equal(await ledger.head.get(), before)
  assert.equal(readdirSync(place('.')), [])
})

of('are the action of an export run: its authorisation, the assembly and its end', async ({ create, ledger }) => {
  let exported: CreatedExport | undefined
  const types = await typesAppended(ledger, async () => {
    exported = await create({ lock: 'reports' })
  })
  assert.equal(types, ['run.created', 'run.decided', 'run.started', 'run.decided', 'run.acted', 'run.completed'])
  const { bundle, run_id } = exported as CreatedExport
  const run = await ledger.runs.get({ run_id })
  assert.is(run.run_kind, 'export')
  const [output] = run.outputs?.artifact_refs ?? []
  assert.is(output?.artifact_kind, 'export_bundle')
  assert.is(output?.artifact_id, bundle.bundle_id)
  assert.is(output?.hash_sha256, bundle.integrity.package_hash_sha256)
  const events = (await ledger.audit.list({ run_id, action_type: 'export' })).events
  assert.equal(
    events.map(({ outcome, response_hash_sha256 }) => [outcome, response_hash_sha256]),
    [['success', bundle.integrity.manifest_hash_sha256]],
  )
})

of('leave nothing where they are denied or fail, and the run says why', async ({ create, ledger, place }) => {
  const select = { run_id: 'run_top_1' }
  const denied: [Partial<CreateExport>, string][] = [
    [{ role_id: 'INTERVIEW_AGENT' }, 'RUN_DENIED'],
    [{ actor: { actor_id: 'agent-1', actor_type: 'agent' } }, 'RUN_DENIED'],
    [{ scope: { case_id: 'CASE-17' } }, 'RUN_DENIED'],
    [{ effects: ['cross_case_lookup'] }, 'RUN_DENIED'],
    [{ scope: { ...scope, case_id: 'CASE-18' } }, 'RUN_DENIED'],
    [{ select: { case_id: 'CASE-18' } }, 'RUN_DENIED'],
    [{ select: { from: 0, to: (await ledger.head.get()).size - 1 } }, 'RUN_DENIED'],
    [{ select: { lock: 'nothing' } }, 'NOT_FOUND'],
    [{ select: { from: 0, to: 9_999 } }, 'INVALID_INPUT'],
  ]
  for (const [more, code] of denied) {
    assert.is(await codeOf(create(select, more)), code, JSON.stringify(more))
    assert.match(
      (await ledger.runs.list({ run_kind: 'export' })).runs.map(({ status }) => status).join(),
      /^(denied|failed|,)+$/,
    )
  }
  assert.is((await lastOf(ledger, 'run.acted')).data.outcome, 'failure')
  assert.equal(readdirSync(place('.')), [])

  const { size } = await ledger.head.get()
  const { file } = await create(select)
  writeFileSync(place('taken.tar.gz.json'), 'of somebody')
  const before = (await ledger.head.get()).size
  for (const more of [
    { file },
    { size: 0 },
    { size: size + 99 },
    { file: `${file}?token=x` },
    { file: place('taken.tar.gz') },
  ] as Partial<CreateExport>[]) {
    assert.is(await codeOf(create(select, more)), 'INVALID_INPUT', JSON.stringify(more))
  }
  assert.is(await codeOf(create(select, { file: place('no/such/folder.tar.gz') })), 'NOT_FOUND')
  assert.is((await ledger.head.get()).size, before)
})

of(
  'need the approvals that the configuration demands, by humans who do not export; the record names them',
  async ({ create, ledger, place }) => {
    const select = { run_id: 'run_top_1' }
    assert.is(await codeOf(create(select)), 'RUN_DENIED')
    const [denied] = (await ledger.runs.list({ run_kind: 'export', status: 'denied' })).runs
    const { rule_ids } = (await ledger.runs.why({ run_id: denied?.run_id ?? '' })).denied ?? {}
    assert.equal(rule_ids, [
      'config:exports/approvals_required/attorney_admin',
      'config:exports/approvals_required/compliance',
    ])
    assert.equal(readdirSync(place('.')), [])
    const { size } = await ledger.head.get()
    const approve = async (actor_id: string, approval_type: 'attorney_admin' | 'compliance', of: object = {}) => {
      const actor = { actor_id, actor_type: 'human' as const }
      return (await ledger.exports.approve({ select, size, approval_type, actor, ...of })).approval_id
    }
    const approvals = [
      await approve('ana', 'attorney_admin', { notes: 'order of 2 May' }),
      await approve('ben', 'compliance'),
    ]
    const bundle = { approvals, bundle_kind: 'internal_review' as const, select, size }
    const target = { name: 'export_bundle.create' }
    const action = { action_type: 'export' as const, lane_id: governed.lane_id, target }
    const asked = {
      actor_type: 'human' as const,
      case_id: scope.case_id,
      role_id: governed.role_id,
      run_kind: 'export' as const,
    }
    const explain = (of: object) =>
      ledger.policy.explain({ ...asked, action: { ...action, scope: { ...scope, run_id: 'run_any_1' }, ...of } })
    assert.equal((await explain({})).rule_ids, rule_ids)
    assert.is((await explain({ bundle })).decision, 'allow')
    const without = { bundle: { ...bundle, approvals: approvals.slice(0, 1) } }
    assert.equal((await explain(without)).rule_ids, ['config:exports/approvals_required/compliance'])

    const exported = await create(select, { approvals })
    assert.equal(
      exported.bundle.approvals?.map(({ approval_type, approved_by, notes }) => [approval_type, approved_by, notes]),
      [
        ['attorney_admin', 'ana', 'order of 2 May'],
        ['compliance', 'ben', undefined],
      ],
    )
    // The ledger names the record by its digest, as it does the archive.
    const digest = createHash('sha256').update(readFileSync(exported.record_file)).digest('hex')
    const { run_id } = exported
    const kinds = (await ledger.runs.get({ run_id })).outputs?.artifact_refs.map((ref) => [
      ref.artifact_kind,
      ref.hash_sha256,
    ])
    assert.equal(kinds, [
      ['export_bundle', exported.bundle.integrity.package_hash_sha256],
      ['export_bundle_record', digest],
    ])
  },
  { exports: { approvals_required: ['attorney_admin', 'compliance'] } },
)

of('of a run that has not ended say so', async ({ create, ledger, vkey }) => {
  const size = (await ledger.head.get()).size - 1
  const { file } = await create({ run_id: 'run_top_1' }, { size })
  const { ends, open_runs } = (await verifyExport(file, { vkey })).claimed
  assert.equal([open_runs, ends], [1, `one run had not ended at size ${size}`])
})

exports.run()
