import { createHmac, randomFillSync } from 'node:crypto'
import type { Json } from '../kernel/canonical.ts'
import type { Entry } from '../kernel/entry.ts'
import { erasedText, type TextPlaces } from '../kernel/free-text.ts'
import { commitmentMessage, type Disclosure, type HeldText, isCommitment, saltBytes } from '../merkle/commitment.ts'
import { corrupt } from './corrupt.ts'

/** The commitment to a text, in hex. */
export function commitmentTo(disclosure: Disclosure): string {
  return createHmac('sha256', Buffer.from(disclosure.salt, 'hex')).update(commitmentMessage(disclosure)).digest('hex')
}

/**
 * The data of an entry with commitments in place of its free texts, which are added to `texts`. Without free text it is
 * the same data.
 */
export function committedData(data: Entry['data'], places: TextPlaces, texts: Disclosure[]): Entry['data'] {
  return committed(data, places, '/data', texts) as Entry['data']
}

function committed(value: unknown, places: TextPlaces, path: string, texts: Disclosure[]): unknown {
  if (value === undefined || value === null) return value
  if (places === 'text') {
    const disclosure = { path, salt: newSalt(), text: value as string }
    texts.push(disclosure)
    return { commitment: commitmentTo(disclosure) }
  }
  if ('items' in places) {
    return (value as unknown[]).map((item, index) => committed(item, places.items, `${path}/${index}`, texts))
  }
  // A copy keeps the order of the members, so the text stays canonical.
  let copy = value as Record<string, unknown>
  for (const [name, inner] of places.members) {
    const member = copy[name]
    const next = committed(member, inner, `${path}/${name}`, texts)
    if (next === member) continue
    if (copy === value) copy = { ...copy }
    copy[name] = next
  }
  return copy
}

/** What is stored of an entry: the text that is hashed, and its free texts, if it has any. */
export interface StoredEntry {
  text: string
  texts?: readonly HeldText[]
}

/**
 * The entry with its free texts in their places. Errors: LEDGER_CORRUPT if a text is neither stored nor marked as
 * erased.
 */
export function entryWithTexts(recorded: Entry, { text, texts = [] }: StoredEntry): Entry {
  if (texts.length === 0 && !text.includes(anyCommitment)) return recorded
  const held = new Map(texts.map((each) => [each.path, each]))
  return {
    ...recorded,
    data: filled(recorded.data as Json, '/data', (path) => textAt(recorded, held, path)) as Entry['data'],
  }
}

/** An entry has this text if it has a commitment, and only then: a quote inside a string is escaped. */
const anyCommitment = '{"commitment":"'

function textAt({ seq }: Entry, held: ReadonlyMap<string, HeldText>, path: string): string {
  const found = held.get(path)
  if (found === undefined) throw corrupt(`the text ${path} of entry ${seq} is missing`, { check: 'texts', path, seq })
  return 'text' in found ? found.text : erasedText
}

function filled(value: Json | undefined, path: string, textAt: (path: string) => string): Json | undefined {
  if (typeof value !== 'object' || value === null) return value
  if (isCommitment(value)) return textAt(path)
  if (Array.isArray(value)) return value.map((item, index) => filled(item, `${path}/${index}`, textAt) as Json)
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, filled(member, `${path}/${name}`, textAt)]),
  )
}

// Random bytes are drawn for many salts at once: drawing 32 of them costs more than everything else about a text.
const pool = Buffer.alloc(256 * saltBytes)
let used = pool.length

function newSalt(): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += saltBytes
  return pool.toString('hex', used - saltBytes, used)
}
