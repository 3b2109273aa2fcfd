import { concatBytes, fromBase64, sameBytes, toBase64 } from './hash.ts'
import { isKeyName, type Parsed, type Vkey } from './vkey.ts'

/** A signature line: the signer's name and 4-byte key id, and the signature. */
export type NoteSignature = {
  readonly name: string
  readonly keyId: Uint8Array
  readonly signature: Uint8Array
}

/** A text that ends in a newline, and its signatures in order. The signatures are not verified yet. */
export type SignedNote = { readonly text: string; readonly signatures: readonly NoteSignature[] }

/** Signs bytes with Ed25519, synchronously or asynchronously. The caller keeps the key. */
export type NoteSigner = {
  readonly name: string
  readonly keyId: Uint8Array
  readonly sign: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>
}

/** Verifies an Ed25519 signature over a message with a particular key, synchronously or asynchronously. */
export type VerifySignature = (
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean | Promise<boolean>

/** Limits for notes, as in Go's note package. */
const noteBytesMax = 1_000_000
const signaturesMax = 100

const keyIdBytes = 4
const ed25519SignatureBytes = 64
const signaturePrefix = '\u2014 '

/** The signed form of a text, with a signature by each signer. **Errors**: as for `formatSignedNote`. */
export async function signNote(text: string, signers: readonly NoteSigner[]): Promise<string> {
  const signatures: NoteSignature[] = []
  for (const { keyId, name, sign } of signers) {
    signatures.push({ name, keyId, signature: await sign(new TextEncoder().encode(text)) })
  }
  return formatSignedNote({ text, signatures })
}

/**
 * Formats the text, a blank line, and a line `— name base64(keyId ‖ signature)` for each signature (C2SP signed-note).
 * **Errors**: RangeError if the note could not be parsed again.
 */
export function formatSignedNote(note: SignedNote): string {
  const formatted = `${note.text}\n${note.signatures.map(formatSignatureLine).join('')}`
  const parsed = parseSignedNote(formatted)
  if (!parsed.ok) throw new RangeError(`cannot write the note: ${parsed.reason}`)
  if (parsed.value.text !== note.text) throw new RangeError('the text of the note does not end in a newline')
  return formatted
}

/** Parses a signed note as strictly as Go's note package, and accepts base64 only in its canonical form. */
export function parseSignedNote(note: string): Parsed<SignedNote> {
  if (note.length > noteBytesMax || new TextEncoder().encode(note).length > noteBytesMax) {
    return { ok: false, reason: `the note is longer than ${noteBytesMax} bytes` }
  }
  if (!isPlainText(note)) return { ok: false, reason: 'the note is not plain text' }
  // The text may contain blank lines. The last blank line ends it.
  const split = note.lastIndexOf('\n\n')
  if (split < 0) return { ok: false, reason: 'the note has no blank line before its signatures' }
  const text = note.slice(0, split + 1)
  const lines = note.slice(split + 2).split('\n')
  if (lines.pop() !== '' || lines.length === 0) return { ok: false, reason: 'the note does not end in a signature' }
  if (lines.length > signaturesMax) return { ok: false, reason: 'the note has too many signatures' }
  const signatures: NoteSignature[] = []
  for (const line of lines) {
    const signature = parseSignatureLine(line)
    if (signature === undefined) return { ok: false, reason: 'a signature line of the note is malformed' }
    signatures.push(signature)
  }
  return { ok: true, value: { text, signatures } }
}

/**
 * The text of a note, after its signature was verified with the key. Signatures by other keys and further signatures by
 * the same key are ignored. The note is rejected if the first signature by this key is wrong (C2SP signed-note).
 */
export async function verifySignedNote(note: string, key: Vkey, verify: VerifySignature): Promise<Parsed<string>> {
  const parsed = parseSignedNote(note)
  if (!parsed.ok) return parsed
  const { text, signatures } = parsed.value
  const own = signatures.find(({ name, keyId }) => name === key.name && sameBytes(keyId, key.keyId))
  if (own === undefined) return { ok: false, reason: `the note has no signature by ${key.name}` }
  const isGenuine =
    own.signature.length === ed25519SignatureBytes &&
    (await verify(key.publicKey, new TextEncoder().encode(text), own.signature))
  return isGenuine ? { ok: true, value: text } : { ok: false, reason: `the signature by ${key.name} is wrong` }
}

/** Whether a text has no control character below U+0020 except newline, and no lone surrogate. */
export function isPlainText(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code < 0x20 && code !== 0x0a) return false
  }
  return !/\p{Cs}/u.test(text)
}

/**
 * The line `— name base64(keyId ‖ signature)` and its newline. **Errors**: RangeError if the name or the key id is
 * invalid.
 */
export function formatSignatureLine({ name, keyId, signature }: NoteSignature): string {
  if (!isKeyName(name)) throw new RangeError(`"${name}" is not a valid key name`)
  if (keyId.length !== keyIdBytes) throw new RangeError(`a key id must be ${keyIdBytes} bytes`)
  return `${signaturePrefix}${name} ${toBase64(concatBytes(keyId, signature))}\n`
}

/** Parses a signature line without its newline. Undefined if it is malformed. */
export function parseSignatureLine(line: string): NoteSignature | undefined {
  const [name = '', base64 = '', ...more] = line.slice(signaturePrefix.length).split(' ')
  const bytes = fromBase64(base64)
  if (!line.startsWith(signaturePrefix) || more.length > 0 || !isKeyName(name)) return undefined
  if (bytes === undefined || bytes.length <= keyIdBytes) return undefined
  return { name, keyId: bytes.slice(0, keyIdBytes), signature: bytes.slice(keyIdBytes) }
}
