import { hash } from 'node:crypto'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { contentOf, contentSha256, gitBlobId, isPin } from '../../../src/domain/policy/content.ts'
import { limits } from '../../../src/kernel/limits.ts'

const test = suite('the content of a policy file')
const bytesOf = (text: string) => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array) => {
  const content = contentOf(bytes)
  return content.ok ? content.text : content.message
}

for (const [title, text] of [
  ['as it is', 'a: 1\nb: 2\n'],
  ['with a byte order mark', '\ufeffa: 1\nb: 2\n'],
  ['with CRLF', 'a: 1\r\nb: 2\r\n'],
  ['with both', '\ufeffa: 1\r\nb: 2\r\n'],
] as const) {
  test(`is the same ${title}`, () => assert.is(textOf(bytesOf(text)), 'a: 1\nb: 2\n'))
}

test('keeps a second mark, a lone CR and blanks at the end', () => {
  assert.is(textOf(bytesOf('\ufeff\ufeffa: 1\rb \n\n')), '\ufeffa: 1\rb \n\n')
})

test('is not read from UTF-16, nor from broken UTF-8', () => {
  for (const bytes of [new Uint8Array([0xff, 0xfe, 0x61, 0]), new Uint8Array([0x61, 0xc3]), new Uint8Array([0x80])]) {
    assert.match(textOf(bytes), /not UTF-8/)
  }
})

test('has a maximum size', () => {
  assert.ok(contentOf(new Uint8Array(limits.policyFileBytes).fill(0x20)).ok)
  assert.match(textOf(new Uint8Array(limits.policyFileBytes + 1).fill(0x20)), /larger than/)
})

test('is hashed as UTF-8', () => {
  const expected = hash('sha256', Buffer.from('ü\n', 'utf8'), 'hex')
  assert.is(
    contentSha256('ü\n', (bytes) => hash('sha256', bytes, 'hex')),
    expected,
  )
})

// What "git hash-object --no-filters" says of the same bytes.
for (const [text, id] of [
  ['', 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'],
  ['hello\n', 'ce013625030ba8dba906f756967f9e9ca394464a'],
  ['\ufeffa: ü\r\n', '5beb8e41c314781160433db03cf9c1639ee5454e'],
] as const) {
  test(`has Git's blob id: ${JSON.stringify(text)}`, () => {
    assert.is(
      gitBlobId(bytesOf(text), (bytes) => hash('sha1', bytes, 'hex')),
      id,
    )
  })
}

test('a pin is a Git SHA', () => {
  for (const pin of ['a'.repeat(40), 'A'.repeat(40), '0'.repeat(64)]) assert.ok(isPin(pin), pin)
  const others = [
    '',
    'UNPINNED',
    'a'.repeat(39),
    'a'.repeat(41),
    'g'.repeat(40),
    `${'a'.repeat(40)}\n`,
    null,
    undefined,
    7,
  ]
  for (const pin of others) assert.not(isPin(pin), String(pin))
})

test.run()
