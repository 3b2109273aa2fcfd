import { type Checkpoint, formatCheckpoint, parseCheckpoint, verifySignedCheckpoint } from './checkpoint.ts'
import { type Hash, sameBytes } from './hash.ts'
import { parseSignedNote, type VerifySignature, verifySignedNote } from './note.ts'
import { type Parsed, parseVkey, type Vkey } from './vkey.ts'

/**
 * A change of a ledger's keys at a tree head. `added`: `by` is the key in force, and both keys sign. `retired`: `by` is
 * the key that remains, and it signs. `adopted`: `by` are the lost keys, and only the new key can sign.
 */
export type KeyStatement = Checkpoint & {
  readonly change: 'added' | 'adopted' | 'retired'
  /** The key line of the key that begins or ends. */
  readonly vkey: string
  readonly by: readonly string[]
}

/** A key, and the sizes of the tree at which it signs: from `from` to `to`, or without an end. */
export type KeyInForce = { readonly vkey: string; readonly key: Vkey; from: number; to: number | undefined }

/** What a verifier of signatures needs from its platform. */
export type Means = { readonly hash: Hash; readonly verify: VerifySignature }

/** More changes of keys than any ledger has. */
const keyStatementsMax = 1_000
const byMax = 2
const firstLine = /^lockstep-key\/v1 (added|adopted|retired)$/

/** The text of a statement, which its keys sign as a note. It cannot be read as a checkpoint. */
export function formatKeyStatement(statement: KeyStatement): string {
  const { by, change, vkey } = statement
  return `lockstep-key/v1 ${change}\n${formatCheckpoint(statement)}${[vkey, ...by].map((line) => `${line}\n`).join('')}`
}

/** Parses only what `formatKeyStatement` writes. */
export function parseKeyStatement(text: string): Parsed<KeyStatement> {
  const [first = '', origin, size, root, vkey, ...by] = text.split('\n')
  const change = firstLine.exec(first)?.[1] as KeyStatement['change'] | undefined
  const head = parseCheckpoint(`${origin}\n${size}\n${root}\n`)
  const isComplete = by.pop() === '' && vkey !== undefined && by.length >= 1 && by.length <= byMax
  if (change === undefined || !head.ok || !isComplete)
    return { ok: false, reason: 'a statement about keys is malformed' }
  return { ok: true, value: { ...head.value, by, change, vkey } }
}

/** The text of `key.pub`: the line of the first key, and one line for each signed statement, as a JSON string. */
export function formatKeys(first: string, statements: readonly string[]): string {
  return [first, ...statements.map((note) => JSON.stringify(note))].map((line) => `${line}\n`).join('')
}

/** The first line and the statements of a text that `formatKeys` wrote. A key line alone has none. */
export function parseKeys(text: string): Parsed<{ first: string; statements: string[] }> {
  const [first = '', ...lines] = text.replace(/\n+$/, '').split('\n')
  if (lines.length > keyStatementsMax) return { ok: false, reason: 'the key has too many statements' }
  const statements: string[] = []
  for (const line of lines) {
    const note = stringIn(line)
    if (note === undefined || JSON.stringify(note) !== line) {
      return { ok: false, reason: 'a line after the key is not a statement as a JSON string' }
    }
    statements.push(note)
  }
  return { ok: true, value: { first, statements } }
}

/**
 * The keys that a verifier accepts, if it trusts a text as `formatKeys` writes it, or a key line alone. `claimed` is such
 * a text that came with the claim: its statements are followed as far as a trusted key signed them, and never before
 * those of the trusted text. So a key that the trusted text retired adds nothing.
 */
export async function keysFrom(trusted: string, means: Means, claimed?: string): Promise<Parsed<KeyInForce[]>> {
  const own = parseKeys(trusted)
  if (!own.ok) return own
  const more = claimed === undefined ? own : parseKeys(claimed)
  if (!more.ok) return more
  const { first, statements } = own.value
  const key = await parseVkey(first, means.hash)
  if (!key.ok) return key
  const keys: KeyInForce[] = [{ vkey: first, key: key.value, from: 0, to: undefined }]
  let size = 0
  for (const note of [...statements, ...more.value.statements.filter((note) => !statements.includes(note))]) {
    const signed = parseSignedNote(note)
    if (!signed.ok) return signed
    const statement = parseKeyStatement(signed.value.text)
    if (!statement.ok) return statement
    if (statement.value.origin !== key.value.name) {
      return {
        ok: false,
        reason: `a statement about keys belongs to ${statement.value.origin}, not to ${key.value.name}`,
      }
    }
    if (statement.value.size < size) return { ok: false, reason: 'the statements about keys are not in order' }
    const followed = await follow(keys, statement.value, note, means)
    if (!followed.ok) return followed
    if (followed.value) size = statement.value.size
  }
  return { ok: true, value: keys }
}

/** Applies a statement to the keys. The value is false if the statement is about keys that are not trusted. */
async function follow(
  keys: KeyInForce[],
  { by, change, size, vkey }: KeyStatement,
  note: string,
  means: Means,
): Promise<Parsed<boolean>> {
  const known = keys.find((key) => key.vkey === vkey)
  const signer = change === 'adopted' ? undefined : keys.find((key) => key.vkey === by[0])
  if (known === undefined && (signer === undefined || change === 'retired')) return { ok: true, value: false }
  const parsed = known === undefined ? await parseVkey(vkey, means.hash) : { ok: true as const, value: known.key }
  if (!parsed.ok) return parsed
  if (change === 'retired' && signer === undefined)
    return { ok: false, reason: 'an unknown key retires the trusted key' }
  const signers = [...(signer ? [signer.key] : []), ...(change === 'retired' ? [] : [parsed.value])]
  for (const key of signers) {
    const verified = await verifySignedNote(note, key, means.verify)
    if (!verified.ok) return { ok: false, reason: `a statement about keys: ${verified.reason}` }
  }
  const inForce = keys.filter(({ to }) => to === undefined)
  if (change === 'retired' && known !== undefined) {
    if (inForce.length !== 2 || !inForce.some((key) => key.vkey === vkey) || signer?.to !== undefined) {
      return { ok: false, reason: 'a key is retired that is not one of two keys in force' }
    }
    known.to = size
  } else if (known === undefined) {
    if (inForce.length !== 1 || signer?.to !== undefined) {
      return { ok: false, reason: 'a key is added by a key that is not the only one in force' }
    }
    keys.push({ vkey, key: parsed.value, from: size + 1, to: undefined })
  } else {
    if (keys.length !== 1) return { ok: false, reason: 'a key is added twice' }
    // The trusted key says itself since which size it signs.
    known.from = size + 1
  }
  return { ok: true, value: true }
}

/**
 * The checkpoint in a signed note, if a key signed it that was in force at its size. A wrong signature by any of the keys
 * rejects the note; signatures by others are ignored.
 */
export async function verifyHeadByKeys(
  note: string,
  keys: readonly KeyInForce[],
  verify: VerifySignature,
): Promise<Parsed<Checkpoint>> {
  const signed = parseSignedNote(note)
  if (!signed.ok) return signed
  const name = keys[0]?.key.name ?? ''
  const signers = keys.filter(({ key }) =>
    signed.value.signatures.some((line) => line.name === key.name && sameBytes(line.keyId, key.keyId)),
  )
  if (signers.length === 0) return { ok: false, reason: `the note has no signature by ${name}` }
  let head: Parsed<Checkpoint> | undefined
  for (const { key } of signers) {
    head = await verifySignedCheckpoint(note, key, verify)
    if (!head.ok) return head
  }
  const size = head?.ok ? head.value.size : 0
  const isInForce = signers.some(({ from, to }) => from <= size && (to === undefined || size <= to))
  if (head !== undefined && isInForce) return head
  return { ok: false, reason: `no key of ${name} that signed was in force at size ${size}` }
}

function stringIn(line: string): string | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
