import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { brokenLanes, brokenRoles, changed, lanes, odd, roles } from '../../fixtures/policy/files.ts'
import { problemText } from '../../src/domain/policy/document.ts'
import { readPolicy } from '../../src/files/policy/policy-file.ts'

const test = suite('policy files')

type Text = string | Uint8Array
const bytesOf = (text: Text) => (typeof text === 'string' ? new TextEncoder().encode(text) : text)
const read = (lanesText: Text, rolesText: Text = roles, promotionRoles?: string[]) =>
  readPolicy(
    {
      lanes: { file: 'lanes.yaml', bytes: bytesOf(lanesText) },
      roles: { file: 'roles.yaml', bytes: bytesOf(rolesText) },
    },
    promotionRoles,
  )

/** What is said of files that were read, and of files that were refused. */
function findingsOf(result: ReturnType<typeof read>): string[] {
  if ('problems' in result) throw new Error(`refused: ${result.problems.map(problemText).join('; ')}`)
  return result.findings.map(problemText)
}
function problemsOf(result: ReturnType<typeof read>): string[] {
  assert.ok('problems' in result, 'refused')
  return 'problems' in result ? result.problems.map(problemText) : []
}

test('are read', () => {
  const result = read(lanes)
  assert.equal(findingsOf(result), [])
  if ('problems' in result) return
  assert.equal([...result.policy.lanes.keys()], ['WRITE', 'PROMOTE'])
  assert.equal(result.policy.lanes.get('WRITE')?.allowed_actions, { writes: [{ table: 'facts', mode: 'append' }] })
  assert.equal(result.policy.roles.get('GOVERNANCE_AGENT')?.privileges, { lanes: ['PROMOTE'] })
})

test('are the same with byte order mark and CRLF, down to the hash', () => {
  const plain = read(lanes)
  const other = read(`\ufeff${lanes.replaceAll('\n', '\r\n')}`, `\ufeff${roles.replaceAll('\n', '\r\n')}`)
  assert.equal(other, plain)
  if ('problems' in other) return
  assert.match(other.policy.sha256.lanes, /^[0-9a-f]{64}$/)
  assert.is.not(other.policy.sha256.lanes, other.policy.sha256.roles)
})

test('need no contract_version, and may be JSON', () => {
  assert.equal(findingsOf(read(changed(lanes, 'contract_version: v1\n', ''))), [])
  const result = read(
    lanes,
    '{"roles": [{"role_id": "R", "description": "R.", "class": "agent", "privileges": {"lanes": []}}]}',
  )
  assert.ok('policy' in result)
})

test('may let a lane read, and keep the outputs of failures', () => {
  const result = read(
    changed(
      lanes,
      '    allowed_actions:\n',
      '    allowed_actions:\n      reads: [facts]\n      partial_outputs: true\n',
    ),
  )
  assert.equal(findingsOf(result), [])
})

for (const [title, text, ...says] of brokenLanes) {
  test(`are refused with ${title}`, () => {
    const problems = problemsOf(read(text))
    assert.is(problems.length, says.length, problems.join('\n'))
    for (const [index, pattern] of says.entries()) assert.match(problems[index] ?? '', pattern)
  })
}

for (const [title, text, pattern] of brokenRoles) {
  test(`are refused with roles that are ${title}`, () => {
    const problems = problemsOf(read(lanes, text))
    assert.is(problems.length, 1, problems.join('\n'))
    assert.match(problems[0] ?? '', pattern)
  })
}

test('report every problem of both', () => {
  assert.equal(problemsOf(read('', '')), ['lanes.yaml:1: the file is empty', 'roles.yaml:1: the file is empty'])
  assert.is(problemsOf(read(`${lanes}a: 1\n`, `${roles}b: 1\n`)).length, 2)
})

test('may name other roles for promotion', () => {
  const renamed = [lanes, roles].map((text) => text.replaceAll('GOVERNANCE_AGENT', 'CURATOR')) as [string, string]
  assert.is(problemsOf(read(...renamed)).length, 1)
  assert.equal(findingsOf(read(...renamed, ['CURATOR'])), [])
  assert.match(problemsOf(read(lanes, roles, ['CURATOR']))[0] ?? '', /only for CURATOR$/)
})

for (const [title, lanesText, rolesText, ...says] of odd) {
  test(`get a warning with ${title}`, () => assert.equal(findingsOf(read(lanesText, rolesText)), says))
}

const deep = 50_000
for (const [what, text] of [
  ['flow lists', '['.repeat(deep)],
  ['flow maps', '{a: '.repeat(deep)],
  ['block lists on one line', '- '.repeat(deep)],
  ['keys with a mark of their own', '? '.repeat(deep)],
  ['block maps', Array.from({ length: 400 }, (_, level) => `${' '.repeat(level)}a:\n`).join('')],
  ['lists that end, with a folded text in the middle', `${'['.repeat(5_000)}"a\n b"${']'.repeat(5_000)}`],
] as const) {
  test(`that nest too deeply are refused before the YAML is composed: ${what}`, () => {
    assert.match(problemsOf(read(text))[0] ?? '', /nests deeper than 32 levels/)
  })
}

for (const [what, text] of [
  ['blanks', ' '.repeat(200_000)],
  ['blanks and a quote', `${' '.repeat(200_000)}"`],
  ['marks of here-strings', "@' << ".repeat(40_000)],
  ['keys', Array.from({ length: 20_000 }, (_, at) => `k${at}: 1\n`).join('')],
] as const) {
  test(`cost time in proportion to their size: 256 KiB of ${what}`, () => {
    const { system, user } = process.cpuUsage()
    const before = system + user
    assert.ok(problemsOf(read(text)).length > 0)
    const { system: systemAfter, user: userAfter } = process.cpuUsage()
    // Quadratic it takes eight seconds and more.
    assert.ok(systemAfter + userAfter - before < 4_000_000)
  })
}

test('may nest as deeply as a policy needs', () => {
  assert.ok('policy' in read(lanes))
})

test.run()
