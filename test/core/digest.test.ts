import { hash } from 'node:crypto'
import canonicalize from 'canonicalize'
import * as fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { hashRequest, requestText } from '../../src/kernel/digest.ts'
import { limits } from '../../src/kernel/limits.ts'
import { printedSeed } from '../support/seed.ts'

const test = suite('the hash of a request')
const seed = printedSeed('digest')
const sha256 = (bytes: Uint8Array) => hash('sha256', bytes, 'hex')

test('is SHA-256 of the RFC 8785 form', () => {
  assert.is(hashRequest({}, sha256), '44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a')
  assert.is(hashRequest({ b: 1, a: 'ü' }, sha256), sha256(new TextEncoder().encode('{"a":"ü","b":1}')))
})

test('does not depend on the order of members or the spelling of numbers', () => {
  const texts = ['{"10":1.0,"9":[1e2,-0],"__proto__":{"b":1,"a":2}}', '{"__proto__":{"a":2,"b":1},"9":[100,0],"10":1}']
  const [one, other] = texts.map((text) => hashRequest(JSON.parse(text), sha256))
  assert.is(one, other)
})

// RFC 8785, sections 3.2.2 and 3.2.3.
for (const [given, text] of [
  [
    '{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"literals":[null,true,false]}',
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}',
  ],
  ['{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5}', '{"\\r":2,"1":4,"€":1,"😀":5,"\ufb33":3}'],
] as const) {
  test(`gives the text of the RFC: ${text}`, () => assert.is(requestText(JSON.parse(given)), text))
}

test('is taken over the output of an RFC 8785 library, for any JSON', () => {
  const json = fc.jsonValue({ stringUnit: 'grapheme' })
  fc.assert(
    fc.property(json, (value) => assert.is(requestText(value), canonicalize(value))),
    { seed, numRuns: 2_000 },
  )
})

test('leaves out undefined members', () => assert.is(requestText({ a: undefined, b: 1 }), '{"b":1}'))

const deep = (levels: number) => Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 0)

for (const [title, request, code] of [
  ['undefined', undefined, 'INVALID_INPUT'],
  ['a hole in a list', [undefined], 'INVALID_INPUT'],
  ['a number that is none', { a: Number.NaN }, 'INVALID_INPUT'],
  ['infinity', [Number.POSITIVE_INFINITY], 'INVALID_INPUT'],
  ['a large integer', 10n, 'INVALID_INPUT'],
  ['half a character', 'half \ud83d', 'INVALID_INPUT'],
  ['half a character in a key', { '\ud83d': 1 }, 'INVALID_INPUT'],
  ['a date', { at: new Date(0) }, 'INVALID_INPUT'],
  ['a map', new Map(), 'INVALID_INPUT'],
  ['bytes', new Uint8Array(2), 'INVALID_INPUT'],
  ['a function', () => 1, 'INVALID_INPUT'],
  ['more levels than its bound', deep(limits.requestDepthMax + 1), 'LIMIT_EXCEEDED'],
  ['more characters than its bound', 'x'.repeat(limits.requestChars - 1), 'LIMIT_EXCEEDED'],
] as const) {
  test(`refuses ${title}`, () => {
    assert.throws(
      () => hashRequest(request, sha256),
      (error: unknown) => error instanceof LockstepError && error.code === code,
    )
  })
}

test('refuses a request that contains itself', () => {
  const request: Record<string, unknown> = {}
  request.self = request
  assert.throws(() => requestText(request), /deeper/)
})

test('accepts as many levels and characters as its limits', () => {
  assert.is(requestText(deep(limits.requestDepthMax)).length, 2 * limits.requestDepthMax + 1)
  assert.is(requestText('x'.repeat(limits.requestChars - 2)).length, limits.requestChars)
})

test.run()
