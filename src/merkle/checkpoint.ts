import { fromBase64, isHash, toBase64 } from './hash.ts'
import { isPlainText, type NoteSigner, signNote, type VerifySignature, verifySignedNote } from './note.ts'
import type { Parsed, Vkey } from './vkey.ts'

/** A tree head: the log's name, its number of entries, and their root (C2SP tlog-checkpoint). */
export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Uint8Array }

/**
 * Formats the text `origin
 * size
 * base64(root)
 * `. **Errors**: RangeError if the origin is not a single line of plain text, or the size or root is invalid.
 */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  const text = `${checkpoint.origin}\n${checkpoint.size}\n${toBase64(checkpoint.root)}\n`
  const parsed = parseCheckpoint(text)
  if (!parsed.ok) throw new RangeError(`cannot write the checkpoint: ${parsed.reason}`)
  if (parsed.value.origin !== checkpoint.origin) throw new RangeError('the origin has more than one line')
  return text
}

/** Parses the text of a checkpoint. Extension lines after it are ignored; Lockstep writes none. */
export function parseCheckpoint(text: string): Parsed<Checkpoint> {
  if (!isPlainText(text)) return { ok: false, reason: 'the checkpoint is not plain text' }
  const [origin = '', sizeText = '', rootText = '', ...rest] = text.split('\n')
  if (rest.pop() !== '') return { ok: false, reason: 'the checkpoint has fewer than three lines' }
  if (origin === '' || rest.includes('')) return { ok: false, reason: 'a line of the checkpoint is empty' }
  const size = Number(sizeText)
  if (!/^(0|[1-9][0-9]*)$/.test(sizeText) || !Number.isSafeInteger(size)) {
    return { ok: false, reason: 'the size of the checkpoint is not a plain decimal number up to 2^53 - 1' }
  }
  const root = fromBase64(rootText)
  if (!isHash(root)) return { ok: false, reason: 'the root of the checkpoint is not 32 bytes in base64' }
  return { ok: true, value: { origin, size, root } }
}

/** Signs a checkpoint as a note, under its origin as the key name. **Errors**: as for `formatCheckpoint`. */
export async function signCheckpoint(checkpoint: Checkpoint, signers: readonly NoteSigner[]): Promise<string> {
  const other = signers.find(({ name }) => name !== checkpoint.origin)
  if (other !== undefined) throw new RangeError(`${other.name} is not the checkpoint's origin`)
  return signNote(formatCheckpoint(checkpoint), signers)
}

/**
 * The checkpoint in a signed note, after its signature was verified with the key. In Lockstep, the key's name is the
 * origin, so a checkpoint of another log is rejected even if this key signed it.
 */
export async function verifySignedCheckpoint(
  note: string,
  key: Vkey,
  verify: VerifySignature,
): Promise<Parsed<Checkpoint>> {
  const text = await verifySignedNote(note, key, verify)
  if (!text.ok) return text
  const checkpoint = parseCheckpoint(text.value)
  if (checkpoint.ok && checkpoint.value.origin !== key.name) {
    return { ok: false, reason: `the checkpoint belongs to ${checkpoint.value.origin}, not to ${key.name}` }
  }
  return checkpoint
}
