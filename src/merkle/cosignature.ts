import { concatBytes, sameBytes } from './hash.ts'
import {
  formatSignatureLine,
  type NoteSignature,
  type NoteSigner,
  parseSignedNote,
  type VerifySignature,
} from './note.ts'
import type { Parsed, Vkey } from './vkey.ts'

/** A cosignature that was verified: the witness's key, and when it signed, in seconds since 1970. */
export type Cosignature = { readonly key: Vkey; readonly timestamp: number }

const timestampBytes = 8
const ed25519SignatureBytes = 64

/**
 * The signature line of a witness over the text of a checkpoint (C2SP tlog-cosignature, Ed25519). The signature is the
 * timestamp, as 8 bytes in big-endian order, and the Ed25519 signature. The key id of the witness is of the type
 * `keyTypes.cosignature`. **Errors**: RangeError for an invalid timestamp.
 */
export async function cosign(text: string, timestamp: number, cosigner: NoteSigner): Promise<string> {
  const signature = await cosigner.sign(cosignedMessage(text, timestamp))
  const { keyId, name } = cosigner
  return formatSignatureLine({ name, keyId, signature: concatBytes(bytesOfTimestamp(timestamp), signature) })
}

/**
 * The cosignatures of a note by these witnesses, in their order. Signatures by other keys and of other types are
 * ignored. As in Go's note package, the first signature by each key counts, and the note is rejected if that one is
 * wrong.
 */
export async function verifyCosignatures(
  note: string,
  witnesses: readonly Vkey[],
  verify: VerifySignature,
): Promise<Parsed<Cosignature[]>> {
  const parsed = parseSignedNote(note)
  if (!parsed.ok) return parsed
  const { signatures, text } = parsed.value
  const cosignatures: Cosignature[] = []
  for (const key of witnesses) {
    const own = signatures.find(({ keyId, name }) => name === key.name && sameBytes(keyId, key.keyId))
    if (own === undefined) continue
    const timestamp = await verifiedTimestamp(text, own, { key, verify })
    if (timestamp === undefined) return { ok: false, reason: `the cosignature by ${key.name} is wrong` }
    cosignatures.push({ key, timestamp })
  }
  return { ok: true, value: cosignatures }
}

/** The timestamp of a cosignature, or undefined if the signature is wrong. */
async function verifiedTimestamp(
  text: string,
  { signature }: NoteSignature,
  { key, verify }: { key: Vkey; verify: VerifySignature },
): Promise<number | undefined> {
  if (signature.length !== timestampBytes + ed25519SignatureBytes) return undefined
  const timestamp = timestampIn(signature)
  if (timestamp === undefined) return undefined
  const message = cosignedMessage(text, timestamp)
  return (await verify(key.publicKey, message, signature.slice(timestampBytes))) ? timestamp : undefined
}

function cosignedMessage(text: string, timestamp: number): Uint8Array {
  return new TextEncoder().encode(`cosignature/v1\ntime ${timestamp}\n${text}`)
}

function bytesOfTimestamp(timestamp: number): Uint8Array {
  if (!Number.isSafeInteger(timestamp) || timestamp < 0) throw new RangeError(`${timestamp} is not a valid timestamp`)
  const bytes = new Uint8Array(timestampBytes)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(timestamp))
  return bytes
}

/** Undefined beyond 2^53 - 1 seconds, which no clock reaches. */
function timestampIn(signature: Uint8Array): number | undefined {
  const timestamp = Number(new DataView(signature.buffer, signature.byteOffset).getBigUint64(0))
  return Number.isSafeInteger(timestamp) ? timestamp : undefined
}
