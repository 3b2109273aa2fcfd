import canonicalize from 'canonicalize'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  assertCanonical,
  canonicalText,
  isWellFormed,
  type Json,
  sorted,
  wellFormed,
} from '../../src/kernel/canonical.ts'
import { fixture } from '../merkle/model.ts'
import { printedSeed } from '../support/seed.ts'

type Rows = {
  permitted: { title: string; json: string }[]
  forbidden: { title: string; json: string; where: string }[]
}

const test = suite('canonical JSON')
const rows = fixture<Rows>('core/canonical.json')
const seed = printedSeed('canonical')

/** Values as the ledger keeps them: keys from the alphabet, integers, well-formed text. */
const { value: ledgerValue } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().filter((number) => !Object.is(number, -0)),
    fc.string({ unit: 'binary' }).filter(isWellFormed),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(fc.stringMatching(/^[a-z_][a-z0-9_]{0,6}$/), tie('value'), { maxKeys: 6, noNullPrototype: false }),
  ),
}))

test('it equals the output of an RFC 8785 library for every value that the ledger can store', () => {
  const property = fc.property(ledgerValue, (value) => {
    const text = canonicalText(value)
    assert.is(text, canonicalize(value))
    assert.is(JSON.stringify(sorted(value)), text, 'plain JSON.stringify of the sorted value is the text')
    assertCanonical(JSON.parse(text))
  })
  fc.assert(property, { seed, numRuns: 2_000 })
})

test('the order of keys does not change the text', () => {
  const property = fc.property(
    fc
      .uniqueArray(fc.stringMatching(/^[a-z_][a-z0-9_]{0,6}$/), { maxLength: 10 })
      .chain((keys) => fc.tuple(fc.constant(keys), fc.shuffledSubarray(keys, { minLength: keys.length }))),
    ([keys, shuffled]) => {
      const object = (order: string[]) => JSON.parse(`{${order.map((key) => `"${key}":1`).join()}}`)
      assert.is(canonicalText(object(keys)), canonicalText(object(shuffled)))
    },
  )
  fc.assert(property, { seed })
})

for (const { title, json } of rows.permitted) {
  test(`it may have ${title}`, () => {
    const value = JSON.parse(json)
    assertCanonical(value)
    assert.is(JSON.stringify(value), canonicalize(value))
    assert.is(canonicalText(value), canonicalize(value))
  })
}

for (const { title, json, where } of rows.forbidden) {
  test(`it may not have ${title}, and says where`, () => {
    try {
      assertCanonical(JSON.parse(json))
    } catch (error) {
      assert.ok(String(error).includes(`invariant violated: ${where} `), String(error))
      return
    }
    assert.unreachable(json)
  })
}

for (const [title, value] of [
  ['an undefined member, which JSON leaves out and MessagePack keeps', { a: undefined }],
  ['a function', { a: () => 1 }],
  ['a bigint', [1n]],
  ['not-a-number', [Number.NaN]],
  ['infinity', [Number.POSITIVE_INFINITY]],
  ['undefined itself', undefined],
] as const) {
  test(`it may not have ${title}`, () => assert.throws(() => assertCanonical(value), /invariant violated/))
}

test('integer-like keys are refused because JavaScript would put them in numeric order', () => {
  const value = JSON.parse('{"10":1,"9":2}')
  assert.is.not(JSON.stringify(value), canonicalize(value))
  assert.throws(() => assertCanonical(value), /\$\.9 is a permitted key/)
})

test('undefined members are left out when values are sorted', () => {
  assert.is(canonicalText({ b: undefined, a: [{ d: 1, c: undefined }] }), '{"a":[{"d":1}]}')
})

test('a member named __proto__ stays a member', () => {
  const value = JSON.parse('{"z":1,"__proto__":{"b":1,"a":2}}')
  assert.is(canonicalText(value), '{"__proto__":{"a":2,"b":1},"z":1}')
})

test('sorting does not change its input', () => {
  const value = { b: [{ d: 1, c: 2 }], a: 3 }
  sorted(value)
  assert.is(JSON.stringify(value), '{"b":[{"d":1,"c":2}],"a":3}')
})

test('text is well-formed if and only if it survives UTF-8, and repairing it gives what UTF-8 gives', () => {
  const halves = fc.constantFrom('\ud83d', '\udd12', 'a', '🔒', 'é', '\u0000')
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(halves).map((parts) => parts.join('')),
  )
  const property = fc.property(text, (given) => {
    const throughUtf8 = Buffer.from(given).toString()
    assert.is(isWellFormed(given), throughUtf8 === given)
    assert.is(wellFormed(given), throughUtf8)
  })
  fc.assert(property, { seed, numRuns: 2_000 })
})

test.run()
