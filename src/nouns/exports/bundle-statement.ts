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
import { toBase64, toHex } from '../../merkle/hash.ts'
import type { Vkey } from '../../merkle/vkey.ts'
import type { Facts, Texts } from './bundle-read.ts'
import { failed, parsed } from './export-lines.ts'

/**
 * Checks that the envelope covers exactly these files and is signed with this key, and returns the format that it names.
 * An Ed25519 signature is deterministic. Errors: VERIFY_FAILED (`statement`), FORMAT_TOO_NEW.
 */
export function checkStatement(
  texts: Texts,
  facts: Facts,
  key: Vkey,
  bundle: Omit<StatedBundle, 'format'>,
): BundleFormat {
  const subjects = new Map([...facts].filter(([name]) => name !== 'statement.json'))
  const envelope = parsed(texts.get('statement.json') ?? '') as { signatures?: { sig?: unknown }[] } | undefined
  const format = formatIn(envelope)
  const payload = statementOf({ ...bundle, format }, subjects)
  const sig = envelope?.signatures?.[0]?.sig
  const signature = Buffer.from(typeof sig === 'string' ? sig : '', 'base64')
  const expected = JSON.stringify({
    payload: toBase64(Buffer.from(payload)),
    payloadType: statementType,
    signatures: [{ keyid: toHex(key.keyId), sig: toBase64(signature) }],
  })
  const isOurs = `${expected}\n` === texts.get('statement.json')
  if (!isOurs) throw failed('statement', `a file does not match the statement: ${differing(envelope, payload)}`)
  if (!isSignatureOf(key.publicKey, signedBytes(payload), signature))
    throw failed('statement', 'its signature is invalid')
  return format
}

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
