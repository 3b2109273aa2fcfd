import type { HexDigest } from '../../kernel/digest.ts'
import { limits } from '../../kernel/limits.ts'

/**
 * The text of a policy file in the form that is read, stored and compared: without byte order mark, with LF line
 * endings.
 */
export type PolicyContent = { ok: true; text: string } | { ok: false; message: string }

/** Decodes the content of a file. Files in other encodings, which some shells write, are refused. */
export function contentOf(bytes: Uint8Array): PolicyContent {
  if (bytes.length > limits.policyFileBytes) {
    return { ok: false, message: `the file is larger than ${limits.policyFileBytes} bytes` }
  }
  try {
    // The decoder removes the byte order mark.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return { ok: true, text: text.replaceAll('\r\n', '\n') }
  } catch {
    return { ok: false, message: 'the file is not UTF-8; it may have been saved as UTF-16' }
  }
}

/** The SHA-256 of a content. Files that differ only in byte order mark or line endings have the same hash. */
export function contentSha256(text: string, sha256: HexDigest): string {
  return sha256(new TextEncoder().encode(text))
}

/** The Git id of a blob with these bytes: SHA-1 of `blob <length>`, a zero byte and the bytes. */
export function gitBlobId(bytes: Uint8Array, sha1: HexDigest): string {
  const head = new TextEncoder().encode(`blob ${bytes.length}\0`)
  const blob = new Uint8Array(head.length + bytes.length)
  blob.set(head)
  blob.set(bytes, head.length)
  return sha1(blob)
}

/** Whether a text can pin a policy file: a Git SHA of 40 or 64 hex digits, in either case. */
export function isPin(text: unknown): text is string {
  return typeof text === 'string' && /^(?:[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$/.test(text)
}
