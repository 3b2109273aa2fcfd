import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { put } from '../support/scene.ts'

const tables = suite('lockstep policy test and policy diff')

const shipped = ['contract/v1/policy', 'examples/policy/case-work'].map((folder) => join(project, folder))

/** A copy of the shipped policy and its table, changed. */
function changed(...changes: readonly [file: string, from: string, to: string][]): string {
  const folder = temporaryRoot()
  cpSync(shipped[0] ?? '', folder, { recursive: true })
  for (const [file, from, to] of changes) {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    if (!text.includes(from)) throw new Error(`${file} has no ${from}`)
    writeFileSync(path, text.replace(from, to))
  }
  return folder
}

const tested = (folder: string, ...words: string[]) =>
  lockstep(['policy', 'test', join(folder, 'tests.yaml'), ...words])

tables('the shipped policies decide what their tables expect', async () => {
  for (const folder of shipped) {
    const { json, status, stdout } = await tested(folder)
    equal([status, json.differences], [0, []], stdout)
    is(Number(json.cases) > 10, true)
  }
})

tables('a difference is shown with its line, and the exit code is 1', async () => {
  const folder = changed(['lanes.yaml', '        - Bash\n', ''])
  const { json, status } = await tested(folder)
  is(status, 1)
  const differences = json.differences as { actual: object; expected: object; line: number; name: string }[]
  equal(
    differences.map(({ name }) => name),
    ['an agent runs a command', 'a reviewer runs tests', 'an action that hides from the audit is denied'],
  )
  const [first] = differences
  equal(first?.expected, { decision: 'allow', rule_ids: ['lane:shell/tools'] })
  equal(first?.actual, { decision: 'deny', rule_ids: ['lane:edit/tools'] })
  const shown = await lockstep(['policy', 'test', join(folder, 'tests.yaml')], { isForPeople: true })
  is(shown.status, 1)
  match(
    shown.stdout,
    new RegExp(`tests\\.yaml:${first?.line}: an agent runs a command: expected allow by lane:shell/tools, not deny`),
  )
  match(shown.stdout, /of \d+ decisions are as expected\n$/)
})

/** What is wrong with a table or its policy, and what is said of it. */
const broken: [title: string, change: [file: string, from: string, to: string], says: RegExp][] = [
  [
    'an unknown key in a case',
    ['tests.yaml', 'cases:\n', 'cases:\n  - { name: a, role: agent }\n'],
    /cases\.0\.role: is not a known key/,
  ],
  [
    'an unknown key of the table',
    ['tests.yaml', 'cases:\n', 'allow_all: true\ncases:\n'],
    /tests\.yaml:\d+: allow_all: is not a known key/,
  ],
  [
    'a decision that is none',
    ['tests.yaml', 'decision: allow', 'decision: maybe'],
    /tests\.yaml:\d+: cases\.0\.decision/,
  ],
  ['a key twice', ['tests.yaml', 'cases:\n', 'cases: []\ncases:\n'], /map keys must be unique/],
  ['a policy that is not there', ['tests.yaml', 'cases:\n', 'policy: ../nowhere\ncases:\n'], /nowhere/],
  [
    'an unknown key of the policy',
    ['lanes.yaml', '    purpose:', '    allow_all: true\n    purpose:'],
    /lanes\.yaml:\d+: lanes\.0\.allow_all: is not a known key/,
  ],
]

for (const [title, change, says] of broken) {
  tables(`${title} is an error, and no case is tested`, async () => {
    const { status, stdout } = await tested(changed(change))
    is(status === 2 || status === 3, true, stdout)
    match(stdout, says)
  })
}

tables('a diff names what changed, and its replay the recorded decisions that would change', async () => {
  const root = temporaryRoot()
  const call = async (...words: string[]) => {
    const ended = await lockstep(['--dir', root, ...words])
    return { json: ended.json, status: ended.status, stdout: ended.stdout }
  }
  is((await call('init', root)).status, 0)
  for (const tool of ['test.unit', 'build.all', 'rm.all']) {
    const words = ['run', 'exec', '--lane', 'shell', '--role', 'agent', '--tool', tool, '--', 'true']
    is((await call(...words)).status, tool === 'rm.all' ? 4 : 0)
  }
  const { size } = (await call('head')).json
  const other = changed(['lanes.yaml', '        - test.*\n', ''], ['roles.yaml', 'class: human', 'class: system'])
  const diff = await call('policy', 'diff', 'in-force', other, '--replay')
  is(diff.status, 0, diff.stdout)
  const { changes, replay } = diff.json as { changes: object[]; replay: { differences: Record<string, unknown>[] } }
  equal(changes, [
    { change: 'changed', id: 'shell', kind: 'lane', members: ['allowed_actions.tools: removed test.*'] },
    { change: 'changed', id: 'operator', kind: 'role', members: ['class: human became system'] },
  ])
  const { differences, millis: _, ...counts } = replay as Record<string, unknown> & typeof replay
  equal(counts, { decisions: 6, newly_allowed: 0, newly_denied: 1, other_rules: 0, unknown: 0 })
  equal(
    differences.map(({ after, on, target }) => [on, target, after]),
    [['tool_call', 'test.unit', { decision: 'deny', rule_ids: ['lane:shell/tools'] }]],
  )
  const same = await call('policy', 'diff', other, other)
  equal(same.json, { changes: [], replay: null })
  is((await call('policy', 'diff', 'in-force', join(other, 'nowhere'))).status, 3)
  is((await call('head')).json.size, size, 'a diff records nothing')
  await endsWithVerify(root)
})

tables('the diff is shown for people, a change a line', async () => {
  const root = put(temporaryRoot(), 'empty', '')
  const other = changed(['lanes.yaml', 'roles: [operator]', 'roles: [operator, agent]'])
  const { status, stdout } = await lockstep(['policy', 'diff', shipped[0] ?? '', other], {
    cwd: join(root, '..'),
    isForPeople: true,
  })
  equal([status, stdout], [0, 'lane release: changed\n  allowed_callers.roles: added agent\n'])
})

tables.run()
