import { createHash } from 'node:crypto'
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { exportBundleSchema, exportManifestSchema } from '../../src/domain/export/bundle.ts'
import { LockstepError } from '../../src/errors.ts'
import type { Ledger } from '../../src/ledger.ts'
import type { CreateExport } from '../../src/nouns/exports/export-requests.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import type { Exported } from '../../src/nouns/exports/exports.ts'
import { openLedger } from '../../src/open.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'
import { type Bundle, changed, pack, relisted, resealed, spread, unpack } from '../support/bundle.ts'
import { entriesOf, lastOf, typesAppended } from '../support/entries.ts'
import { temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { withLog } from '../support/opened-log.ts'
import { asPlainError, configure } from '../support/scene.ts'
import { verifyBundle } from '../support/second-verifier.ts'

const exports = suite('export bundles')

const lawyer = { actor_id: 'lawyer-1', actor_type: 'human' } as const
const scope = { case_id: 'CASE-17', export_reason: 'asked for by the court' }
const governed = { actor: lawyer, lane_id: 'EXPORT_CASE_DATA', role_id: 'ATTORNEY_ADMIN', scope } as const
const action = {
  action_type: 'tool_call',
  lane_id: 'TOOL_INTERVIEW_CAPTURE',
  target: { name: 'dictation.start' },
} as const

interface Stage {
  ledger: Ledger
  root: string
  vkey: string
  create: (select: CreateExport['select'], more?: Partial<CreateExport>) => Promise<Exported>
  place: (name: string) => string
}

/** A ledger with locks, a tree of runs of one case and a run of another; bundles go to a folder of their own. */
function of(title: string, work: (stage: Stage) => Promise<void>, config: Record<string, unknown> = {}): void {
  exports(title, async () => {
    const folder = temporaryRoot()
    let bundles = 0
    await withLedger(
      async (made, root) => {
        await made.close()
        configure(root, config)
        const ledger = await openLedger({ dir: root, actor: testActor, self_check: true })
        await fill(ledger).catch(asPlainError)
        const place = (name: string) => join(folder, name)
        const create: Stage['create'] = (select, more = {}) => {
          bundles += 1
          return ledger.exports.create({ ...governed, file: place(`${bundles}.tar.gz`), select, ...more })
        }
        const vkey = readFileSync(join(root, '.lockstep/key.pub'), 'utf8')
        await work({ create, ledger, place, root, vkey })
          .catch(asPlainError)
          .finally(() => ledger.close())
      },
      { policy: true },
    )
  })
}

async function fill(ledger: Ledger): Promise<void> {
  const { runs } = ledger
  const top = { run_id: 'run_top_1' }
  await runs.create({ ...top, case_id: 'CASE-17', run_kind: 'orchestrator' })
  await runs.start(top)
  const { lock_id } = await ledger.locks.acquire({ name: 'reports', holder: 'agent-1' })
  const request = { action: { ...action, scope: { case_id: 'CASE-17', client_session_id: 's-1' } } }
  const of = { case_id: 'CASE-17', parent_run_id: top.run_id, role_id: 'INTERVIEW_AGENT' }
  for (let index = 0; index < 3; index += 1) await runs.perform({ ...request, ...of }, () => 'done')
  await ledger.locks.renew({ lock_id })
  await runs.create({ case_id: 'CASE-18', run_id: 'run_of_18', run_kind: 'orchestrator' })
  await ledger.locks.release({ lock_id })
  await runs.complete({ ...top, outcome_reason: 'done' })
}

/** The check that a bundle fails. */
async function failedCheck(path: string, vkey?: string): Promise<string> {
  try {
    await verifyExport(path, { vkey })
  } catch (error) {
    assert.instance(error, LockstepError)
    assert.is((error as LockstepError).code, 'VERIFY_FAILED', (error as LockstepError).message)
    return String((error as LockstepError).details.check)
  }
  throw new Error(`${path} verifies`)
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(() => undefined).catch((caught: unknown) => caught)
  assert.instance(error, LockstepError)
  return (error as LockstepError).code
}

of('hold a tree, a case, a lock or a range, whole, and verify here and by a second verifier', async (stage) => {
  const { create, ledger, vkey } = stage
  const entries = await entriesOf(ledger)
  const tree = entries.filter(({ case_id }) => case_id === 'CASE-17')
  const size = ledger.head().size
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
    const verified = await verifyExport(file, { vkey })
    assert.equal([verified.authenticity, verified.entries, verified.size], ['checked', wanted.length, size])
    assert.is(verified.manifest_hash_sha256, bundle.integrity.manifest_hash_sha256)
    assert.is(verified.package_hash_sha256, bundle.integrity.package_hash_sha256)
    assert.equal(exportBundleSchema.parse(JSON.parse(readFileSync(record_file, 'utf8'))), bundle)
    const manifest = JSON.parse(unpack(file).get('manifest.json')?.toString('utf8') ?? '')
    assert.equal(exportManifestSchema.parse(manifest), manifest)
    assert.equal({ ...manifest, export_reason: scope.export_reason, integrity: bundle.integrity }, bundle)
    assert.is((await verifyExport(file)).authenticity, 'unchecked')
    assert.is((await verifyExport(spread(unpack(file), `${file}.d`))).package_hash_sha256, verified.package_hash_sha256)
  }
})

of('of one size are the same bytes, whatever was appended since', async ({ create, ledger }) => {
  const size = ledger.head().size
  const first = await create({ run_id: 'run_top_1' })
  await ledger.locks.acquire({ name: 'charts', holder: 'agent-1' })
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
  const { size } = await verifyExport(plain.file)
  const first = await create(select, { ...stated, size })
  const second = await create(select, { ...stated, size })
  assert.ok(readFileSync(first.file).equals(readFileSync(second.file)))
  const manifest = JSON.parse(unpack(first.file).get('manifest.json')?.toString('utf8') ?? '')
  for (const [member, value] of Object.entries(stated)) assert.equal(manifest[member], value, member)
  assert.is((await verifyExport(first.file, { vkey })).bundle_id, first.bundle.bundle_id)
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

of('have their record in the ledger, by bundle and by run, whatever becomes of the file', async (stage) => {
  const { create, ledger, root } = stage
  const size = ledger.head().size
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
  const { data } = await ledger.entry(Number(record.event_id.split('_').at(-1)))
  const digest = createHash('sha256').update(text).digest('hex')
  assert.equal(
    [data.record_digest, (data.output_artifacts as { hash_sha256: string }[])[1]?.hash_sha256],
    [digest, digest],
  )
  for (const nobody of [{ run_id: 'run_top_1' }, { run_id: 'run_nobody' }, { bundle_id: 'bnd_nothing' }]) {
    assert.is(await codeOf(ledger.exports.get(nobody)), 'NOT_FOUND')
  }
  await ledger.verify()
  await ledger.close()
  await withLog(root, async (log) => {
    await rebuildViews(log)
    assert.equal(log.objects.missing([digest]), [])
  })
  const again = await openLedger({ dir: root, actor: testActor })
  try {
    assert.equal((await again.exports.get({ run_id: first.run_id })).bundle, record.bundle)
    await again.verify()
  } finally {
    await again.close()
  }
  const copy = join(temporaryRoot(), 'copy')
  cpSync(root, copy, { recursive: true })
  await withLog(copy, (log) => log.objects.drop([digest], []))
  const damaged = await openLedger({ dir: copy, actor: testActor })
  try {
    assert.is(await codeOf(damaged.exports.get({ run_id: first.run_id })), 'LEDGER_CORRUPT')
    assert.is(await codeOf(damaged.verify()), 'VERIFY_FAILED')
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
  const before = ledger.head()
  const select = { lock: 'reports' }
  const notes = 'the client said'
  for (const more of [{ bundle_description: notes }, { redaction: { redaction_applied: true, notes } }]) {
    assert.is(await codeOf(create(select, more)), 'FREE_TEXT_DENIED')
  }
  assert.equal(ledger.head(), before)
  assert.equal(readdirSync(place('.')), [])
})

of('are the action of an export run: its authorisation, the assembly and its end', async ({ create, ledger }) => {
  let exported: Exported | undefined
  const types = await typesAppended(ledger, async () => {
    exported = await create({ lock: 'reports' })
  })
  assert.equal(types, ['run.created', 'run.decided', 'run.started', 'run.decided', 'run.acted', 'run.completed'])
  const { bundle, run_id } = exported as Exported
  const run = await ledger.runs.get(run_id)
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
    [{ select: { from: 0, to: ledger.head().size - 1 } }, 'RUN_DENIED'],
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

  const { size } = ledger.head()
  const { file } = await create(select)
  writeFileSync(place('taken.tar.gz.json'), 'of somebody')
  const before = ledger.head().size
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
  assert.is(ledger.head().size, before)
})

of(
  'need the approvals that the configuration demands, by humans who do not export; the record names them',
  async ({ create, ledger, place }) => {
    const select = { run_id: 'run_top_1' }
    const ana = { actor_id: 'ana', actor_type: 'human' } as const
    assert.is(await codeOf(create(select)), 'RUN_DENIED')
    const denied = (await ledger.runs.list({ run_kind: 'export', status: 'denied' })).runs[0]
    assert.equal((await ledger.runs.why(denied?.run_id ?? '')).denied?.rule_ids, [
      'config:exports/approvals_required/attorney_admin',
      'config:exports/approvals_required/compliance',
    ])
    assert.equal(readdirSync(place('.')), [])
    const explained = await ledger.policy.explain({
      action: {
        action_type: 'export',
        lane_id: governed.lane_id,
        scope: { ...scope, run_id: 'run_any_1' },
        target: { name: 'export_bundle.create' },
      },
      actor_type: 'human',
      case_id: scope.case_id,
      role_id: governed.role_id,
      run_kind: 'export',
    })
    assert.equal(explained.rule_ids, (await ledger.runs.why(denied?.run_id ?? '')).denied?.rule_ids)

    const approve = async (approval_type: 'attorney_admin' | 'compliance', of: object = {}) =>
      (await ledger.exports.approve({ select, approval_type, actor: ana, ...of })).event_id
    const agent = { actor_id: 'agent-1', actor_type: 'agent' } as const
    assert.is(await codeOf(approve('compliance', { actor: agent })), 'INVALID_INPUT')
    const first = await approve('attorney_admin', { notes: 'order of 2 May' })
    const second = await approve('compliance')
    const others = [
      [await approve('compliance', { actor: lawyer })],
      [await approve('compliance', { select: { case_id: 'CASE-18' } })],
      ['evt_nothing_0'],
      [(await entriesOf(ledger)).find(({ type }) => type === 'run.created')?.event_id ?? ''],
    ]
    const before = ledger.head().size
    for (const wrong of others) {
      assert.is(await codeOf(create(select, { approvals: [first, ...wrong] })), 'INVALID_INPUT', wrong.join())
    }
    assert.is(ledger.head().size, before)
    assert.is(await codeOf(create(select, { approvals: [first] })), 'RUN_DENIED')
    const claimed = { ...scope, approval_attorney_admin: first, approval_compliance: second }
    assert.is(await codeOf(create(select, { scope: claimed })), 'RUN_DENIED')

    const { bundle, decision_id, record_file, run_id } = await create(select, { approvals: [first, second] })
    assert.equal(
      bundle.approvals?.map(({ approval_type, approved_by, notes }) => [approval_type, approved_by, notes]),
      [
        ['attorney_admin', 'ana', 'order of 2 May'],
        ['compliance', 'ana', undefined],
      ],
    )
    const decided = (await entriesOf(ledger)).find(({ event_id }) => event_id === decision_id)
    const stated = decided?.data.scope as { key: string; value: string }[]
    assert.equal(
      stated.filter(({ key }) => key.startsWith('approval_')).map(({ value }) => value),
      [first, second],
    )
    // The ledger names the record by its digest, as it does the archive.
    const digest = createHash('sha256').update(readFileSync(record_file)).digest('hex')
    const kinds = (await ledger.runs.get(run_id)).outputs?.artifact_refs.map((ref) => [
      ref.artifact_kind,
      ref.hash_sha256,
    ])
    assert.equal(kinds, [
      ['export_bundle', bundle.integrity.package_hash_sha256],
      ['export_bundle_record', digest],
    ])
  },
  { exports: { approvals_required: ['attorney_admin', 'compliance'] } },
)

of('of a run that has not ended say so', async ({ create, ledger }) => {
  const size = ledger.head().size - 1
  const { file } = await create({ run_id: 'run_top_1' }, { size })
  const { ends, open_runs } = await verifyExport(file)
  assert.equal([open_runs, ends], [1, `one run had not ended at size ${size}`])
})

of('fail with a byte flipped, anywhere', async ({ create, place }) => {
  const { file } = await create({ lock: 'reports' })
  const bytes = readFileSync(file)
  const path = place('flipped.tar.gz')
  for (let at = 0; at < bytes.length; at += 1) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8))
    writeFileSync(path, flipped)
    assert.is(await failedCheck(path), 'archive', `byte ${at}`)
  }
  for (const other of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)]), Buffer.alloc(0)]) {
    writeFileSync(path, other)
    assert.is(await failedCheck(path), 'archive')
  }

  const files = unpack(file)
  const folder = spread(files, place('unpacked'))
  const seen = new Set<string>()
  for (const [name, content] of files) {
    for (let at = 0; at < content.length; at += 17) {
      const flipped = Buffer.from(content)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 7))
      writeFileSync(join(folder, name), flipped)
      seen.add(await failedCheck(folder))
    }
    writeFileSync(join(folder, name), content)
  }
  assert.equal([...seen].sort(), ['checkpoint', 'key', 'manifest', 'statement'])
  await verifyExport(folder)
})

const lines = (change: (all: string[]) => string[]) => (text: string) =>
  `${change(text.trimEnd().split('\n')).join('\n')}\n`
const dropped = lines((all) => all.filter((_, index) => index !== 3))
const swapped = lines(([first = '', second = '', ...rest]) => [second, first, ...rest])
const cut = lines((all) => all.slice(0, -2))

of('fail with a line dropped or swapped, a tail cut, a manifest or anything else changed', async (stage) => {
  const { create, place, root, vkey } = stage
  const { file } = await create({ run_id: 'run_top_1' })
  const files = unpack(file)
  let packed = 0
  const packAs = (changes: Bundle) => {
    packed += 1
    return pack(changes, place(`changed-${packed}.tar.gz`))
  }
  const both = (change: (text: string) => string) =>
    changed(changed(files, 'entries.jsonl', change), 'proofs/inclusion.jsonl', change)

  // By who has not the key: the statement no longer holds, and says of what.
  for (const name of ['entries.jsonl', 'proofs/inclusion.jsonl'] as const) {
    for (const change of [dropped, swapped, cut]) {
      const path = await packAs(changed(files, name, change))
      assert.is(await failedCheck(path, vkey), 'statement')
      await verifyExport(path).catch(({ message }: Error) => assert.ok(message.includes(name), message))
      assert.throws(() => verifyBundle(path, vkey), /second verifier/)
    }
  }
  const reason = (text: string) => text.replace('internal_review', 'other')
  assert.is(await failedCheck(await packAs(changed(files, 'manifest.json', reason))), 'statement')
  assert.is(await failedCheck(await packAs(changed(files, 'manifest.json', (text) => text.slice(1)))), 'manifest')

  // By the owner of the key, who signs again: what is left out dangles, or is not what the manifest says.
  const sealed = async (changes: Bundle) => failedCheck(await packAs(resealed(changes, root)), vkey)
  assert.is(await sealed(changed(files, 'entries.jsonl', dropped)), 'proofs')
  assert.is(await sealed(relisted(both(dropped))), 'entries')
  assert.is(await sealed(relisted(both(swapped))), 'entries')
  assert.is(await sealed(relisted(both(cut))), 'manifest')
  assert.is(await sealed(changed(files, 'entries.jsonl', (text) => text.replace('agent-1', 'agent-2'))), 'proofs')
  assert.is(await sealed(changed(files, 'entries.jsonl', (text) => text.replace('{', '{ '))), 'entries')
  assert.is(await sealed(changed(files, 'entries.jsonl', (text) => text.slice(0, -1))), 'entries')
  assert.is(await sealed(changed(files, 'proofs/inclusion.jsonl', (text) => `${text}${text}`)), 'proofs')
  assert.is(await sealed(changed(files, 'manifest.json', reason)), 'manifest')
  assert.is(
    await sealed(changed(files, 'manifest.json', (text) => text.replace('had', 'has').replace('every', 'each'))),
    'manifest',
  )
  assert.is(await sealed(changed(files, 'README.txt', (text) => `${text}!`)), 'manifest')
})

of('fail under another key, and under a key that is none', async ({ create }) => {
  const { file } = await create({ lock: 'reports' })
  await withLedger(async (_, root) => {
    const other = readFileSync(join(root, '.lockstep/key.pub'), 'utf8')
    assert.is(await failedCheck(file, other), 'key')
    assert.throws(() => verifyBundle(file, other), /the key is another/)
  })
  const refused = await verifyExport(file, { vkey: 'none' }).catch((error: unknown) => error)
  assert.is((refused as LockstepError).code, 'INVALID_INPUT')
})

of('with unsafe paths, links, other files or bombs are refused', async ({ create, place }) => {
  const files = unpack((await create({ lock: 'reports' })).file)
  const first = [...files][0] as [string, Buffer]
  const others: Bundle[] = [
    new Map([['../README.txt', first[1]], ...[...files].slice(1)]),
    new Map([['/tmp/README.txt', first[1]], ...[...files].slice(1)]),
    new Map([...files, ['zzz', Buffer.alloc(1)]]),
    new Map([...files].slice(1)),
    new Map([...files].reverse()),
    new Map([...files, ['README.txt', Buffer.alloc(8 * 1024 * 1024)]]),
  ]
  for (const [index, bundle] of others.entries()) {
    assert.is(await failedCheck(await pack(bundle, place(`unsafe-${index}.tar.gz`))), 'archive', `${index}`)
  }
  // A line without an end is given up before the statement is looked at.
  const bomb = new Map([...files, ['entries.jsonl', Buffer.alloc(8 * 1024 * 1024, 0x20)]])
  assert.is(await failedCheck(await pack(bomb, place('bomb.tar.gz'))), 'entries')

  const folder = spread(files, place('folder'))
  symlinkSync('/etc/hostname', join(folder, 'link'))
  assert.is(await failedCheck(folder), 'archive')
  const linked = spread(new Map([...files].slice(1)), place('linked'))
  symlinkSync(join(folder, 'README.txt'), join(linked, 'README.txt'))
  assert.is(await failedCheck(linked), 'archive')
  assert.is(await codeOf(verifyExport(place('nothing.tar.gz'))), 'NOT_FOUND')
  assert.ok(existsSync(folder))
})

exports.run()
