import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { readJson } from '../../src/kernel/json.ts'
import { JsonReader } from '../../src/kernel/json-reader.ts'
import { Unreadable } from '../../src/kernel/json-value.ts'
import { type Random, randomBelow } from '../support/seed.ts'

const json = suite('JSON from outside')

for (const [text, problem, pointer] of [
  ['{"a":1,"a":2}', 'duplicate_key', '/a'],
  ['{"a":1,"\\u0061":2}', 'duplicate_key', '/a'],
  ['{"":1,"":2}', 'duplicate_key', '/'],
  ['{"__proto__":1,"__proto__":2}', 'duplicate_key', '/__proto__'],
  ['[{"a":{"b":{"c":1}},"a":3}]', 'duplicate_key', '/0/a'],
  ['{"a:b":1,"x":"c:\\"d:","a:b":1}', 'duplicate_key', '/a:b'],
  ['{"a":"\\ud800"}', 'lone_surrogate', '/a'],
  ['{"a":"\ud800"}', 'lone_surrogate', '/a'],
  ['{"a":1} x', 'syntax', ''],
  ['{"a":1,"a":2} x', 'syntax', ''],
  ['', 'syntax', ''],
  ['\ufeff{}', 'syntax', ''],
  [`${'['.repeat(66)}${']'.repeat(66)}`, 'too_deep', '/0'.repeat(65)],
  ['['.repeat(1_000_000), 'too_deep', '/0'.repeat(65)],
] as const) {
  json(`is refused: ${text.slice(0, 40)}`, () => {
    equal(readJson(text), { problem: { pointer, problem } })
  })
}

for (const text of [
  '{"a":1.5,"b":-0,"c":1e400}',
  '{"a:\\\\":":","b\\"":{"a:\\\\":[":",{}]}}',
  '"\\ud83d\\ude00"',
  ' [ ] ',
]) {
  json(`is read as JSON.parse reads it: ${text}`, () => {
    equal(readJson(text), { value: JSON.parse(text) })
  })
}

/** A random JSON text, in which members may occur twice. */
function textOf(random: Random, depth = 0): string {
  const keys = ['"a"', '"b:"', '"\\""', '"\\u0061"', '"\\\\"', '""']
  const space = [' ', '', '\n'][random(3)] ?? ''
  const many = <T>(make: () => T) => Array.from({ length: random(4) }, make)
  switch (random(depth > 4 ? 3 : 5)) {
    case 0:
      return `${space}${random(100) - 50}`
    case 1:
      return keys[random(keys.length)] ?? ''
    case 2:
      return ['true', 'null', '":\\\\\\":"'][random(3)] ?? ''
    case 3:
      return `[${many(() => textOf(random, depth + 1)).join(',')}]${space}`
    default:
      return `{${many(() => `${keys[random(keys.length)]}${space}:${textOf(random, depth + 1)}`).join(`${space},`)}}`
  }
}

const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 3) * 1_000

json('has a duplicate member by the quick look if and only if the reader finds one', () => {
  const random = randomBelow('JSON from outside')
  let refused = 0
  for (let round = 0; round < rounds; round += 1) {
    const text = textOf(random)
    const reader = new JsonReader(text)
    try {
      reader.read()
    } catch (error) {
      ok(error instanceof Unreadable)
    }
    const [wrong] = reader.problems.filter(({ problem }) => problem !== 'not_integer')
    const read = readJson(text)
    if (wrong === undefined) equal(read, { value: JSON.parse(text) }, text)
    else equal(read, { problem: wrong }, text)
    refused += wrong === undefined ? 0 : 1
  }
  ok(refused > 0 && refused < rounds)
  is(readJson('{"a":{"a":1}}') !== undefined, true)
})

json.run()
