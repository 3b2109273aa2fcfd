import canonicalize from 'canonicalize'
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { entryLine, isWellFormed } from '../../src/merkle/entry-line.ts'
import { printedSeed } from '../support/seed.ts'

const test = suite('entry line')
const seed = printedSeed('entry line')

const { entry } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom(null, true, false),
    fc.maxSafeInteger().filter((number) => !Object.is(number, -0)),
    fc.string({ unit: 'binary' }).filter(isWellFormed),
    fc.array(tie('value'), { maxLength: 4 }),
    tie('entry'),
  ),
  entry: fc.dictionary(fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/), tie('value'), { maxKeys: 6 }),
}))

test('an entry with its keys in any order has the text that an RFC 8785 library gives', () => {
  let count = 0
  fc.assert(
    fc.property(entry, (value) => {
      count += 1
      const reversed = Object.fromEntries(Object.entries(value as object).reverse())
      assert.is(entryLine(reversed), canonicalize(value))
    }),
    { seed, numRuns: 500 },
  )
  assert.is(count, 500)
})

test('keys are sorted at every depth, and absent members are left out', () => {
  const value = { b: [{ d: 1, c: null }, 'é"\n'], a: { _: true, a1: false, gone: undefined } }
  assert.is(entryLine(value), '{"a":{"_":true,"a1":false},"b":[{"c":null,"d":1},"é\\"\\n"]}')
})

test('a member named __proto__ is part of the text like any other', () => {
  assert.is(entryLine(JSON.parse('{"seq":1,"__proto__":{"b":1}}')), '{"__proto__":{"b":1},"seq":1}')
})

test('values that no entry can have get no text', () => {
  const members = [
    0.5,
    -0,
    2 ** 53,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '\ud800',
    'a\udc00',
    1n,
    Symbol('a'),
    () => 1,
    [undefined],
    new Array(1),
  ]
  for (const member of members) {
    assert.is(entryLine({ a: member }), undefined, String(member))
    assert.is(entryLine({ a: [{ b: member }] }), undefined)
  }
  for (const key of ['', 'A', '1', 'a-b', 'a b', 'é', 'toJSON', 'a\n'])
    assert.is(entryLine({ [key]: 1 }), undefined, key)
  for (const value of [null, undefined, 1, 'text', [], [{ a: 1 }]]) assert.is(entryLine(value), undefined)
})

test('an entry that is too deep or too large for any ledger has no text, and is refused cheaply', () => {
  const nested = (depth: number) => JSON.parse(`{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`)
  assert.type(entryLine(nested(60)), 'string')
  for (const depth of [70, 100_000]) assert.is(entryLine(nested(depth)), undefined)
  const cyclic: Record<string, unknown> = {}
  cyclic.a = cyclic
  assert.is(entryLine(cyclic), undefined)
  // Doubles at each of 40 steps: without a bound it would never end.
  let doubled: unknown = null
  for (let step = 0; step < 40; step++) doubled = [doubled, doubled]
  assert.is(entryLine({ a: doubled }), undefined)
  assert.type(entryLine({ a: 'x'.repeat(900_000) }), 'string')
  assert.is(entryLine({ a: 'x'.repeat(1_000_000) }), undefined)
})

test('text is well formed unless it has a lone surrogate', () => {
  for (const text of ['', 'a', 'é', '𝒩', '\ufffd']) assert.ok(isWellFormed(text))
  for (const text of ['\ud800', '\udc00', 'a\ud835', '\udca9𝒩', '\udc00\ud800']) assert.not(isWellFormed(text))
})

test.run()
