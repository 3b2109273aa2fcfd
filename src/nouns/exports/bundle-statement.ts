import {
  type BundleFormat,
  bundleFormat,
  formatStated,
  type StatedBundle,
  signedBytes,
  statementOf,
  statementType,
} from '../../domain/export/manifest.ts'
import { formatTooNew } from '../../kernel/format.ts'
import { isSignatureOf } from '../../log/signer.ts'
import { fromBase64, toBase64, toHex } from '../../merkle/hash.ts'
import type { KeyInForce } from '../../merkle/keys.ts'
import type { Vkey } from '../../merkle/vkey.ts'
import type { Facts, Texts } from './bundle-read.ts'
import { failed, parsed } from './export-lines.ts'

/**
 * Checks that the envelope covers exactly these files and is signed by keys that were in force at the size. Returns the
 * format that it names, and the first of these keys. An Ed25519 signature is deterministic. Errors: VERIFY_FAILED
 * (`statement`), FORMAT_TOO_NEW.
 */
export function checkStatement(
  texts: Texts,
  facts: Facts,
  keys: readonly KeyInForce[],
  bundle: Omit<StatedBundle, 'format'>,
): { format: BundleFormat; key: Vkey } {
  const subjects = new Map([...facts].filter(([name]) => name !== 'statement.json'))
  const envelope = parsed(texts.get('statement.json') ?? '') as { signatures?: unknown } | undefined
  const format = formatIn(envelope)
  const payload = statementOf({ ...bundle, format }, subjects)
  const signatures = signaturesIn(envelope?.signatures)
  const expected = JSON.stringify({ payload: toBase64(Buffer.from(payload)), payloadType: statementType, signatures })
  const isOurs = `${expected}\n` === texts.get('statement.json')
  if (!isOurs) throw failed('statement', `a file does not match the statement: ${differing(envelope, payload)}`)
  const inForce = keys.filter(({ from, to }) => from <= bundle.size && (to === undefined || bundle.size <= to))
  const [first, ...others] = signatures.map(({ keyid, sig }) => {
    const key = inForce.find((known) => toHex(known.key.keyId) === keyid)?.key
    const signature = fromBase64(sig)
    const isGenuine = key && signature && isSignatureOf(key.publicKey, signedBytes(payload), signature)
    // A verifier that knows one of two keys cannot judge the signature by the other.
    if (key !== undefined && !isGenuine) throw failed('statement', 'its signature is invalid')
    return key
  })
  const key = first ?? others.find((other) => other !== undefined)
  if (key === undefined) throw failed('statement', 'no key that was in force signed it')
  return { format, key }
}

/** The signatures of an envelope, in the form that Lockstep writes. */
function signaturesIn(stated: unknown): { keyid: string; sig: string }[] {
  if (!Array.isArray(stated) || stated.length > signaturesMax) return []
  return stated.map((signature) => {
    const { keyid, sig } = (signature ?? {}) as { keyid?: unknown; sig?: unknown }
    return { keyid: String(keyid), sig: String(sig) }
  })
}

const signaturesMax = 2

/** The format that the statement names. A statement that names none does not match the expected one. */
function formatIn(envelope: unknown): BundleFormat {
  const { predicateType } = (payloadOf(envelope) ?? {}) as { predicateType?: unknown }
  const found = formatStated(predicateType) ?? bundleFormat
  if (found > bundleFormat) throw formatTooNew('the bundle', { found, read: bundleFormat })
  return found as BundleFormat
}

function payloadOf(envelope: unknown): unknown {
  const { payload } = (envelope ?? {}) as { payload?: unknown }
  return parsed(Buffer.from(typeof payload === 'string' ? payload : '', 'base64').toString('utf8'))
}

/** The first file whose digest differs from the statement. */
function differing(envelope: unknown, payload: string): string {
  const stated = payloadOf(envelope)
  const digests = (of: unknown) =>
    ((of as { subject?: { name: string; digest: { sha256: string } }[] } | undefined)?.subject ?? []).map?.(
      (subject) => `${subject?.name} ${subject?.digest?.sha256}`,
    ) ?? []
  const theirs = new Set(digests(stated))
  return (
    digests(parsed(payload))
      .find((digest) => !theirs.has(digest))
      ?.split(' ')[0] ?? 'the statement itself'
  )
}
