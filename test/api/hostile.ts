import { hintOf } from '../../src/api/hints.ts'
import { formOf, type Operation } from '../../src/api/operations.ts'

/** Names that code has stumbled over: members of Object, control characters, broken Unicode, paths, whole documents. */
export const hostileStrings: readonly string[] = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '',
  ' ',
  'null',
  '0',
  '-1',
  '../../up',
  'a/../b',
  'a\\..\\b',
  '.',
  'resource:constructor',
  'deliverable:__proto__',
  'project:a/b/c',
  'x'.repeat(5_000),
  'nul\u0000nul',
  'esc\u001b[2Jbel\u0007',
  'lone\ud800surrogate',
  'right-to-left\u202e',
  'line\u2028line',
  'NaN',
  '{"__proto__":1}',
]

/** Inputs like one that succeeded, in each of which one string that a caller chose is another one. */
export function* hostileInputs(
  { facts }: Operation,
  input: object,
  strings: (position: number) => readonly string[],
): Generator<object> {
  const schema = formOf(facts, input)
  let position = 0
  for (const path of stringsIn(input)) {
    // A path would make files outside of the test's own folder.
    if (schema !== undefined && hintOf(schema, path[0] ?? '')?.path) continue
    position += 1
    for (const text of strings(position)) yield replaced(input, path, text) as object
  }
}

/** Where the strings of a value are, and the places where a caller chooses a key: these end with an empty step. */
export function* stringsIn(value: unknown, path: readonly string[] = []): Generator<readonly string[]> {
  if (typeof value === 'string') yield path
  if (typeof value !== 'object' || value === null) return
  for (const [name, member] of Object.entries(value)) yield* stringsIn(member, [...path, name])
  if (['body', 'links', 'scope'].includes(path.at(-1) ?? '')) yield [...path, '']
}

/** A copy in which one string, or one key, is another. */
export function replaced(value: unknown, [step, ...rest]: readonly string[], text: string): unknown {
  if (step === undefined) return text
  if (Array.isArray(value)) return value.map((item, at) => (String(at) === step ? replaced(item, rest, text) : item))
  const members = Object.entries(value as object)
  if (step === '') return Object.fromEntries([...members, [text, text]])
  return Object.fromEntries(
    members.map(([name, member]) => [name, name === step ? replaced(member, rest, text) : member]),
  )
}
