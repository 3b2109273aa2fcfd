import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { lstatSync, writeFileSync } from 'node:fs'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { fileError } from './durable.ts'
import type { Layout } from './layout.ts'
import { areModesAccepted } from './permissions.ts'
import { readTextFile } from './regular-file.ts'

/** The ledger's Ed25519 key, which signs its checkpoints. Only signatures leave this module. */
export interface SigningKey {
  /** 32 raw bytes. */
  publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
}

/** Makes a key for a new ledger. Only its owner can read the file. */
export function createKey(path: string): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx', flush: true })
  return signingKey(privateKey)
}

/** Errors: FILE_DENIED if others can read the key, LEDGER_CORRUPT if the file is not a valid key. */
export function readKey(layout: Pick<Layout, 'config' | 'home' | 'key'>): SigningKey {
  const path = layout.key
  let pem: string | undefined
  try {
    const stat = lstatSync(path)
    if (stat.isFile() && (stat.mode & 0o077) !== 0 && !areModesAccepted(layout)) {
      throw new LockstepError('FILE_DENIED', `other users can read ${path}, the key that signs for the ledger`, {
        hint: `Run "chmod 600 ${path}". If someone may have read it, make a new ledger.`,
      })
    }
    pem = readTextFile(path, limits.homeFileBytes, (is) => wrongKey(path, is))
  } catch (error) {
    throw fileError(error, `reading the key ${path}`)
  }
  const key = privateKeyFrom(pem ?? '')
  if (key?.asymmetricKeyType !== 'ed25519') throw wrongKey(path, 'is not an Ed25519 key')
  return signingKey(key)
}

/** LEDGER_CORRUPT: the file is not the key that the ledger was made with. */
export function wrongKey(path: string, what: string): LockstepError {
  const hint = 'Restore the ledger’s own key from a copy. No other key can sign for it.'
  return new LockstepError('LEDGER_CORRUPT', `${path} ${what}`, { hint })
}

/** Undefined if the text is not a private key. OpenSSL's message is dropped, because it may quote the key. */
function privateKeyFrom(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    return undefined
  }
}

function signingKey(privateKey: KeyObject): SigningKey {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' })
  return {
    publicKey: Buffer.from(x ?? '', 'base64url'),
    sign: (message) => sign(null, message, privateKey),
  }
}
