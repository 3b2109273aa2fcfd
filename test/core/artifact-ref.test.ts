import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { artifactRefSchema, locatorSchema } from '../../src/kernel/artifact-ref.ts'
import { policyVersionsSchema } from '../../src/kernel/vocabulary.ts'

const test = suite('artifact references')
const ref = { artifact_id: 'art', artifact_kind: 'transcript', hash_sha256: 'AB'.repeat(32) }

test('a hash is stored in lower case', () => {
  assert.is(artifactRefSchema.parse(ref).hash_sha256, 'ab'.repeat(32))
})

test('a pin is stored in lower case, and UNPINNED unchanged', () => {
  const pins = { lanes: 'AB'.repeat(20), roles: 'UNPINNED' }
  assert.equal(policyVersionsSchema.parse(pins), { lanes: 'ab'.repeat(20), roles: 'UNPINNED' })
})

test('the scope "case" needs a case, other scopes do not', () => {
  const takes = (change: object) => artifactRefSchema.safeParse({ ...ref, ...change }).success
  assert.not(takes({ scope: 'case' }))
  assert.not(takes({ scope: 'case', case_id: null }))
  assert.ok(takes({ scope: 'case', case_id: 'CASE-17' }))
  for (const scope of ['shared', 'system', null]) assert.ok(takes({ scope }), String(scope))
})

// What must be refused stands in fixtures/contract/artifact_ref.bad.json; these look like it and are harmless.
for (const locator of [
  'transcripts/0001.txt',
  '/srv/data: old/0001.txt',
  'file:///srv/a@b/0001.txt',
  's3://case-17/ana@example.com/0001.txt',
  'https://host.example/@ana/0001.txt?versionId=3',
  'https://host.example/search?monkey=1&author=ana',
  'https://host.example/token/0001.txt',
  'urn:sha256:ab',
  'database:cases/0001',
]) {
  test(`a locator may be ${locator}`, () => assert.ok(locatorSchema.safeParse(locator).success))
}

test('a hostile locator is checked cheaply', () => {
  for (const locator of [`x${'?'.repeat(599)}`, `x${'?tok'.repeat(149)}`, 'a:'.repeat(300), `//${'a'.repeat(598)}`]) {
    assert.type(locatorSchema.safeParse(locator).success, 'boolean')
  }
})

test.run()
