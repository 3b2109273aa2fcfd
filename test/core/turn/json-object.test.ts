import canonicalize from 'canonicalize'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { jsonTexts } from '../../../fixtures/turn/json.ts'
import {
  JsonObject,
  objectFromBytes,
  objectFromText,
  objectFromValue,
  type ReadObject,
} from '../../../src/domain/turn/json-object.ts'

const test = suite('JSON objects of turns')

/** What a reading came to, as the table says it. */
function seen(read: ReadObject): unknown {
  if ('object' in read) return read.object.text
  return read.problems.map(({ pointer, problem }) =>
    pointer === '' ? problem : `${problem} ${pointer.replace('\ufffd', '')}`.replace(/ \/$/, ''),
  )
}

for (const [text, becomes] of jsonTexts) {
  test(`${JSON.stringify(text).slice(0, 80)} is ${JSON.stringify(becomes).slice(0, 80)}`, () => {
    const expected = Array.isArray(becomes) ? becomes : becomes
    assert.equal(seen(objectFromText(text)), expected)
    if (text.includes('\ud800')) return
    assert.equal(seen(objectFromBytes(Buffer.from(text))), expected)
  })
}

test('bytes that are not UTF-8 are refused', () => {
  for (const bytes of [
    [0x7b, 0xff, 0x7d],
    [0xc0, 0x80],
    [0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d],
  ]) {
    assert.equal(seen(objectFromBytes(Uint8Array.from(bytes))), ['not_utf8'])
  }
  assert.equal(seen(objectFromBytes(Uint8Array.from([0xef, 0xbb, 0xbf, 0x7b, 0x7d]))), ['byte_order_mark'])
})

test('a value must follow the same rules', () => {
  const rows: [value: unknown, expected: unknown][] = [
    [{ b: 1, a: [true, null, 'x'], c: undefined }, '{"a":[true,null,"x"],"b":1}'],
    [JSON.parse('{"__proto__":{"a":1}}'), '{"__proto__":{"a":1}}'],
    [{ a: 0.5 }, ['not_integer /a']],
    [{ a: -0 }, ['not_integer /a']],
    [{ a: Number.NaN }, ['not_integer /a']],
    [{ a: 2 ** 53 }, ['unsafe_integer /a']],
    [{ a: '\udc00' }, ['lone_surrogate /a']],
    [{ a: 1n, b: () => 1, c: new Date(0), d: new Map() }, ['not_json /a', 'not_json /b', 'not_json /c', 'not_json /d']],
    [[], ['not_an_object']],
    ['x', ['not_an_object']],
  ]
  for (const [value, expected] of rows) assert.equal(seen(objectFromValue(value)), expected)
  const round: Record<string, unknown> = {}
  round.a = round
  assert.match(String((seen(objectFromValue(round)) as string[])[0]), /^too_deep/)
  const made = new JsonObject({ a: 1 })
  const read = objectFromValue(made)
  assert.ok('object' in read && read.object === made, 'what a reader of files made is taken as it is')
})

test('the text is that of RFC 8785, however it was read', () => {
  const leaf = fc.oneof(fc.boolean(), fc.constant(null), fc.integer(), fc.string({ unit: 'grapheme' }))
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.array(tie('tree'), { maxLength: 4 }),
      fc.dictionary(fc.string({ unit: 'grapheme' }), tie('tree'), { maxKeys: 5 }),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), tree, { maxKeys: 5 }), (value) => {
      const text = canonicalize(value)
      assert.is(seen(objectFromValue(value)), text)
      assert.is(seen(objectFromText(JSON.stringify(value, null, 2))), text)
    }),
    { numRuns: 500 },
  )
})

test.run()
