import { createPublicKey, verify as verifySignature } from 'node:crypto'
import { readKey, wrongKey } from '../disk/key-file.ts'
import type { Layout } from '../disk/layout.ts'
import type { NoteSigner } from '../merkle/note.ts'
import { formatVkey, keyIdOf } from '../merkle/vkey.ts'
import { identitySeq, type Log } from './log.ts'
import { sha256 } from './sha256.ts'
import { entryAt } from './tiles.ts'

/** Signs for the ledger. `vkey` is the line of the key that verifies its signatures. */
export type Signer = NoteSigner & { readonly vkey: string }

/** Errors: LEDGER_CORRUPT (not the key that the ledger names), FILE_DENIED, NOT_FOUND (no key). */
export async function signerOf(log: Log, layout: Layout): Promise<Signer> {
  const name = log.meta.origin
  const key = readKey(layout)
  const named = { name, publicKey: key.publicKey }
  const vkey = formatVkey(named, sha256)
  if (vkey !== (await entryAt(log, identitySeq(log.meta)))?.data.vkey)
    throw wrongKey(layout.key, 'is the key of another ledger')
  return { name, keyId: keyIdOf(named, sha256), vkey, sign: key.sign }
}

/** Whether a signature is of this raw Ed25519 key. */
export function isSignatureOf(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const x = Buffer.from(publicKey).toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return verifySignature(null, message, key, signature)
}
