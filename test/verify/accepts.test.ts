import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import * as z from 'zod'
import { eventSchemas, recordedEntrySchema } from '../../src/domain/event-schemas.ts'
import { acceptsOf } from '../../src/verify/accepts.ts'
import { root } from '../runner.ts'

const compiled = suite('schemas compiled to checks')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const accepts = acceptsOf(recordedEntrySchema)

type Document = Record<string, unknown>
const folder = join(root, 'fixtures/contract/entry')
const entries: Document[] = readdirSync(folder).map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))

compiled('accept an entry of each type at once, so that no type is verified slowly', () => {
  const types = new Set(entries.map(({ type }) => type))
  equal(
    Object.keys(eventSchemas).filter((type) => !types.has(type)),
    [],
  )
  const slow = entries.filter((entry) => !accepts(entry))
  // The schema accepts hashes in upper case. Lockstep never writes them.
  const hasUpper = (entry: Document) => /[0-9A-F]{64}/.test(JSON.stringify(entry))
  equal(
    slow.filter((entry) => !hasUpper(entry)),
    [],
  )
})

/** Every place in a document: an object or list, and the name of a member. */
function placesIn(value: unknown): [Document, string][] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([name, member]) => [[value as Document, name], ...placesIn(member)])
}

const values: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    1,
    -1,
    2 ** 53,
    0.5,
    '',
    ' ',
    'a',
    'A',
    'x'.repeat(5_000),
    'AB'.repeat(32),
    'ab'.repeat(32),
  ],
  ...['2026-01-01T00:00:00.000Z', '2026-13-01T00:00:00.000Z', '2026-01-01T00:00:00Z', '\u0000', '\ud800', 'é', 'v2'],
  ...[[], [null], {}, { a: 1 }, JSON.parse('{"__proto__":1}'), JSON.parse('{"constructor":1}'), { A: 1 }],
]

compiled('accept no entry that the schema refuses or changes, whatever is changed in it', () => {
  let accepted = 0
  let refused = 0
  const compare = (entry: unknown) => {
    const isAccepted = accepts(entry)
    const read = recordedEntrySchema.safeParse(entry)
    // The other direction is only a matter of speed.
    if (isAccepted) ok(read.success && isDeepStrictEqual(read.data, entry), JSON.stringify(entry))
    if (isAccepted) accepted += 1
    else refused += 1
  }
  for (const document of entries) {
    const count = placesIn(document).length
    for (let at = 0; at < count; at += rounds > 1 ? 1 : 3) {
      const copy = () => structuredClone(document)
      const [object, name] = placesIn(copy())[at] as [Document, string]
      for (const value of values) {
        const changed = copy()
        const [place] = placesIn(changed)[at] as [Document, string]
        place[name] = value
        compare(changed)
      }
      if (Array.isArray(object)) continue
      const without = copy()
      delete (placesIn(without)[at] as [Document, string])[0][name]
      compare(without)
      for (const extra of ['zz', '__proto__', 'constructor']) {
        const more = copy()
        const [place] = placesIn(more)[at] as [Document, string]
        Object.defineProperty(place, extra, { configurable: true, enumerable: true, value: 1, writable: true })
        compare(more)
      }
    }
  }
  ok(accepted > 100 && refused > 1_000, `${accepted} accepted, ${refused} refused`)
  for (const value of [...values, undefined]) compare(value)
})

compiled('never accept what they do not know', () => {
  const unknown = [
    z.string().transform((text) => text.length),
    z.string().default('a'),
    z.string().trim(),
    z.email(),
    z.object({ a: z.string() }),
    z.looseObject({}),
    z.string().superRefine(() => {}),
    z.number().multipleOf(2),
    z.record(z.string(), z.string()),
    z.record(z.string().regex(/^[a-z_]+$/), z.number()),
    z.string().regex(/a/g),
  ]
  for (const schema of unknown) {
    for (const value of ['a', ' a', 'a@b.cd', {}, { a: 'a' }, { a: 'a', b: 1 }, JSON.parse('{"__proto__":1}'), 2]) {
      const isAccepted = acceptsOf(schema)(value)
      if (isAccepted) equal(schema.parse(value), value)
    }
  }
  is(acceptsOf(z.email())('a@b.cd'), false)
  is(acceptsOf(z.object({ a: z.string() }))({ a: 'a', b: 1 }), false)
})

compiled.run()
