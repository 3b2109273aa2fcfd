// limit: 240
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { auditEventSchema } from '../../src/domain/audit/audit-event.ts'
import { exportBundleSchema } from '../../src/domain/export/bundle.ts'
import { root as projectRoot } from '../runner.ts'
import { caseWork } from '../support/case-work.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { configure } from '../support/scene.ts'
import { verifyBundle } from '../support/second-verifier.ts'

const commands = suite('lockstep audit and lockstep export')
const governed = ['--lane', 'EXPORT_CASE_DATA', '--role', 'ATTORNEY_ADMIN', '--reason', 'asked for']

type Call = (status: number, words: string[], stdin?: string) => Promise<Ended['json']>

/** A ledger made by `lockstep init`, worked on by processes of their own, and verified at the end. */
function of(title: string, work: (call: Call, root: string) => Promise<void>): void {
  commands(title, async () => {
    const root = caseWork(temporaryRoot())
    await work(async (status, words, stdin) => {
      const ended = await lockstep(['--dir', root, ...words], stdin === undefined ? {} : { stdin })
      assert.is(ended.status, status, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
      return { ...ended.json, stdout: ended.stdout }
    }, root)
    await endsWithVerify(root)
  })
}

/** The shell lines of docs/how-to/export-and-verify.md, in order. */
const page = readFileSync(join(projectRoot, 'docs/how-to/export-and-verify.md'), 'utf8')
const scripts = [...page.matchAll(/<!-- run by test\/cli\/export\.test\.ts -->\n```sh\n([\s\S]*?)```/g)].map(
  ([, script = '']) => script,
)

of('events are appended from options and JSON lines, and listed as audit events', async (call, root) => {
  await call(0, ['init', root])
  const note = ['audit', 'append', '--outcome', 'success', '--reason', 'nightly', '--target', 'artifact:report-17']
  const { events } = await call(0, [...note, '--severity', 'warn', '--key', 'key-1'])
  const [first] = events as { event_id: string; seq: number }[]
  assert.is((await call(0, [...note, '--severity', 'warn', '--key', 'key-1'])).replayed, true)
  await call(0, ['run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top_1'])
  const ofRun = ['audit', 'append', '--outcome', 'failure', '--run', 'run_top_1', '--corrects', String(first?.event_id)]
  assert.is((await call(5, ofRun)).code, 'RUN_NOT_ACTIVE')
  await call(0, ['run', 'start', 'run_top_1'])
  await call(0, ofRun)
  const lines = '{"action_type":"system","outcome":"success"}\n{"action_type":"system","outcome":"success"}\n'
  assert.is(((await call(0, ['audit', 'append', '--file', '-'], lines)).events as unknown[]).length, 2)
  assert.is((await call(2, ['audit', 'append', '--outcome', 'maybe'])).code, 'INVALID_INPUT')

  const listed = await call(0, ['audit', 'list'])
  const all = (listed.events as unknown[]).map((event) => auditEventSchema.parse(event))
  assert.is(listed.next, all.length)
  assert.is(listed.complete, true)
  const by = async (...words: string[]) =>
    ((await call(0, ['audit', 'list', ...words])).events as { sequence: number }[]).map(({ sequence }) => sequence)
  const seqsOf = (isWanted: (event: (typeof all)[number]) => boolean) =>
    all.filter(isWanted).map(({ sequence }) => sequence)
  assert.equal(
    await by('--run', 'run_top_1'),
    seqsOf(({ run_id }) => run_id === 'run_top_1'),
  )
  assert.equal(
    await by('--action-type', 'authz_decision'),
    seqsOf(({ action_type }) => action_type === 'authz_decision'),
  )
  assert.equal(
    await by('--outcome', 'failure', '--limit', '1'),
    seqsOf(({ corrects }) => corrects === first?.event_id),
  )
  assert.equal(await by('--until', '2020-01-01T00:00:00Z'), [])
  assert.equal(await by('--cursor', '3', '--limit', '2'), [3, 4])

  const raw = await call(0, ['audit', 'list', '--entries', '--cursor', String(first?.seq), '--limit', '1'])
  assert.is((raw.entries as { type: string }[])[0]?.type, 'audit.recorded')
  const tail = await call(0, ['audit', 'tail', '--from', '0', '--count', String(all.length)])
  const tailed = String(tail.stdout).trimEnd().split('\n')
  assert.equal(
    tailed.map((line) => auditEventSchema.parse(JSON.parse(line)).sequence),
    [...all.keys()],
  )
})

of('a case is exported, verified without a ledger, and checked with sha256sum', async (call, root) => {
  await call(0, ['init', root])
  await call(0, ['run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top_1', '--case', 'CASE-17'])
  await call(0, ['run', 'start', 'run_top_1'])
  const out = join(root, 'case-17.tar.gz')
  const select = ['export', 'create', '--case', 'CASE-17', '--out', out]
  assert.is((await call(2, ['export', 'create', '--out', out, ...governed])).code, 'INVALID_INPUT')
  assert.is((await call(4, [...select, '--lane', 'EXPORT_CASE_DATA', '--role', 'INTAKE_AGENT'])).code, 'RUN_DENIED')
  const redaction = { contains_privileged: false, redaction_applied: true }
  writeFileSync(join(root, 'redaction.json'), JSON.stringify(redaction))
  const says = ['--name', 'Production 1', '--matter', 'M-17', '--redaction', join(root, 'redaction.json')]
  const made = await call(0, [...select, ...governed, ...says])
  const bundle = exportBundleSchema.parse(made.bundle)
  assert.equal([bundle.bundle_name, bundle.matter_id, bundle.redaction], ['Production 1', 'M-17', redaction])
  for (const id of [bundle.bundle_id, String(made.run_id)]) {
    assert.equal((await call(0, ['export', 'show', id])).bundle, JSON.parse(JSON.stringify(bundle)))
  }
  assert.is((await call(3, ['export', 'show', 'run_top_1'])).code, 'NOT_FOUND')
  assert.is((await call(2, [...select, ...governed])).code, 'INVALID_INPUT')

  const vkey = readFileSync(join(root, '.lockstep/key.pub'), 'utf8')
  const elsewhere = await lockstep(['export', 'verify', out, '--key', vkey.trim()], { cwd: temporaryRoot() })
  assert.is(elsewhere.status, 0, elsewhere.stdout)
  assert.is(elsewhere.json.authenticity, 'checked')
  const proven = elsewhere.json.proven as { entries: number; package_hash_sha256: string }
  assert.is(proven.package_hash_sha256, bundle.integrity.package_hash_sha256)
  const refused = await call(2, ['export', 'verify', out])
  assert.equal(
    [refused.code, /--key.*--checkpoint.*--unauthenticated/.test(String(refused.hint))],
    ['INVALID_INPUT', true],
  )
  const alone = ['export', 'verify', '--unauthenticated']
  assert.is((await call(0, [...alone, out])).authenticity, 'unchecked')
  const { stdout } = await lockstep([...alone, out], { isForPeople: true })
  assert.match(stdout.split('\n')[0] ?? '', /^UNAUTHENTICATED: /)
  assert.is((await call(2, ['export', 'verify', out, '--key', 'bogus'])).code, 'INVALID_INPUT')
  assert.is(verifyBundle(out, vkey).length, proven.entries)

  const folder = join(root, 'unpacked')
  mkdirSync(folder)
  assert.is(spawnSync('tar', ['xzf', out, '-C', folder]).status, 0)
  assert.is((await call(0, [...alone, folder])).verified, true)
  const shell = (script: string) => spawnSync('sh', ['-euc', script], { cwd: folder, encoding: 'utf8' })
  const [leaves = '', subjects = ''] = scripts
  const [leaf, stated, ...rest] = shell(leaves).stdout.split('\n')
  assert.match(leaf ?? '', /^[0-9a-f]{64}$/)
  assert.equal([stated, rest], [leaf, ['']])
  assert.equal([shell(subjects).status, shell(subjects).stdout], [0, ''])

  const lines = readFileSync(join(folder, 'entries.jsonl'), 'utf8')
  writeFileSync(join(folder, 'entries.jsonl'), lines.replace('CASE-17', 'CASE-18'))
  assert.is(shell(subjects).stdout, 'entries.jsonl differs\n')
  const failed = await call(6, [...alone, folder])
  assert.equal([failed.code, failed.check], ['VERIFY_FAILED', 'statement'])
})

of('humans approve an export, which the bundle proves, and one approval serves one export', async (call, root) => {
  await call(0, ['init', root])
  configure(root, { exports: { approvals_required: ['attorney_admin', 'compliance'] } })
  await call(0, ['run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top_1', '--case', 'CASE-17'])
  const bound = ['--case', 'CASE-17', '--kind', 'discovery_production']
  const approve = (by: string, type: string, ...more: string[]) =>
    call(0, ['--actor', by, 'export', 'approve', ...bound, '--type', type, ...more])
  const first = await approve('human:ana', 'attorney_admin', '--expires', '7d')
  const second = await approve('human:ben', 'compliance', '--size', String(first.size), '--notes', 'order of 2 May')
  const refused = await call(4, ['--actor', 'agent-7', 'export', 'approve', ...bound, '--type', 'compliance'])
  assert.equal([refused.code, refused.rule_id], ['APPROVAL_DENIED', 'approval/human'])
  const ids = [first, second].map(({ approval_id }) => String(approval_id))
  const create = (out: string) => [
    ...['export', 'create', ...bound, '--out', join(root, out), ...governed],
    ...ids.flatMap((id) => ['--approval', id]),
  ]
  const { approvals } = exportBundleSchema.parse((await call(0, create('one.tar.gz'))).bundle)
  assert.equal(
    approvals?.map(({ approved_by, notes }) => [approved_by, notes]),
    [
      ['ana', undefined],
      ['ben', 'order of 2 May'],
    ],
  )
  const denied = await call(4, create('two.tar.gz'))
  assert.equal([denied.code, denied.rule_ids], ['RUN_DENIED', ids.map((id) => `approval:${id}/unused`)])
  const { status, stdout } = await lockstep(['export', 'verify', join(root, 'one.tar.gz'), '--unauthenticated'], {
    isForPeople: true,
  })
  assert.is(status, 0)
  assert.match(stdout, /^ {2}recorded as approved by ana \(attorney_admin\) at .*Z$/m)
  assert.match(stdout, /^ {2}ben had the role COMPLIANCE$/m)
})

commands.run()
