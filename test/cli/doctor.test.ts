import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { root as projectRoot } from '../runner.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { contentOf, makeDeliverable } from '../support/deliverable.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const doctor = suite('lockstep doctor')

const otherFileSystem = join(projectRoot, 'fixtures/lock/other-file-system.mjs')

type Finding = { check: string; outcome: string; finding: string }

async function newRoot(): Promise<string> {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  makeDeliverable(root)
  return root
}

const findingsOf = ({ json }: Ended): Record<string, Finding> =>
  Object.fromEntries((json.findings as Finding[]).map((finding) => [finding.check, finding]))

doctor(
  'acquires, contends for and releases a real lock on the file system of the root, and leaves nothing behind',
  async () => {
    const root = await newRoot()
    const before = contentOf(root)
    const ended = await lockstep(['--dir', root, 'doctor'])
    equal([ended.status, ended.json.ok], [0, true], ended.stdout)
    const findings = findingsOf(ended)
    equal(Object.keys(findings), [
      'root',
      'permissions',
      'key',
      'configuration',
      'clock',
      'file system',
      'case',
      'disk space',
      'sync latency',
      'exclusion',
      'engine',
      'ledger',
      'acquire and release',
      'hooks',
      ...(process.platform === 'linux' ? [] : ['platform']),
    ])
    is(findings['acquire and release']?.outcome, 'ok')
    equal(
      namesIn(root),
      Object.keys(before).filter((name) => !isChurn(name)),
    )
    await endsWithVerify(root)
  },
)

/** What every open and close of a ledger changes. */
const isChurn = (name: string) => /^\.lockstep\/(?:ledger|evidence|owner)/.test(name)
const namesIn = (root: string) => Object.keys(contentOf(root)).filter((name) => !isChurn(name))

for (const [what, break_, check] of [
  ['a key that cannot be read as one', (root: string) => writeFileSync(join(root, '.lockstep/key'), 'x'), 'key'],
  ['a .lockstep that is open to others', (root: string) => chmodSync(join(root, '.lockstep'), 0o755), 'permissions'],
] as const) {
  doctor(`names ${what}, and ends with its exit code`, async () => {
    const root = await newRoot()
    const file = { key: '.lockstep/key', permissions: undefined }[check]
    const before = file === undefined ? undefined : readFileSync(join(root, file))
    break_(root)
    const ended = await lockstep(['--dir', root, 'doctor'])
    equal([ended.status, ended.json.code], [7, 'DOCTOR_FAILED'], ended.stdout)
    is(findingsOf(ended)[check]?.outcome, 'fail')
    ok(!readdirSync(join(root, '.lockstep')).some((name) => name.startsWith('doctor-')))
    if (file === undefined) chmodSync(join(root, '.lockstep'), 0o700)
    else writeFileSync(join(root, file), before ?? '')
    await endsWithVerify(root)
  })
}

for (const [what, text] of [
  ['differs from what is in force', '{"operators": ["agent-9"]}'],
  ['cannot be read', '{'],
] as const) {
  doctor(`warns of a configuration file that ${what}: it has no effect`, async () => {
    const root = await newRoot()
    writeFileSync(join(root, '.lockstep/config.json'), text)
    const ended = await lockstep(['--dir', root, 'doctor'])
    is(ended.status, 0, ended.stderr)
    const { configuration } = findingsOf(ended)
    is(configuration?.outcome, 'warn')
    match(String(configuration?.finding), /in force by entry 0; .*config\.json is \w+, which has no effect/)
    await endsWithVerify(root)
  })
}

for (const [fileSystem, check, outcome, status] of [
  ['no links', 'acquire and release', 'fail', 7],
  ['network', 'file system', 'warn', 0],
  ['9p', 'file system', 'warn', 0],
  ['no case', 'case', 'warn', 0],
  ['full', 'disk space', 'warn', 0],
  ['slow', 'sync latency', 'warn', 0],
] as const) {
  doctor(`says "${outcome}" of ${check} on a file system that is: ${fileSystem}`, async () => {
    const root = await newRoot()
    const ended = await lockstep(['--dir', root, 'doctor'], {
      preload: otherFileSystem,
      env: { LOCKSTEP_TEST_FS: fileSystem },
    })
    is(ended.status, status, ended.stdout)
    const wrong = Object.values(findingsOf(ended)).filter((finding) => finding.outcome !== 'ok')
    equal(
      wrong.map((finding) => [finding.check, finding.outcome]),
      [[check, outcome]],
    )
    await endsWithVerify(root)
  })
}

doctor('tells a file system in memory from one over a network', async () => {
  const root = await newRoot()
  const ended = await lockstep(['--dir', root, 'doctor'], {
    preload: otherFileSystem,
    env: { LOCKSTEP_TEST_FS: 'in memory' },
  })
  equal([ended.status, findingsOf(ended)['file system']?.outcome], [0, 'ok'], ended.stdout)
  await endsWithVerify(root)
})

doctor.run()
