import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { lstatSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { fileError, syncFolder } from './durable.ts'
import type { Layout } from './layout.ts'
import { adopt } from './ownership.ts'
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

/** A key in a file, made if the file is missing. It is durable before this returns. Errors: those of `readKey`. */
export function durableKey(layout: Pick<Layout, 'config' | 'home'>, path: string): SigningKey {
  const key = keyAt(layout, path)
  if (key !== undefined) return key
  const beside = `${path}.tmp`
  try {
    rmSync(beside, { force: true })
    const made = createKey(beside)
    adopt(beside)
    renameSync(beside, path)
    syncFolder(dirname(path))
    return made
  } catch (error) {
    throw fileError(error, `making the key ${path}`)
  }
}

/** Errors: NOT_FOUND, FILE_DENIED if others can read the key, LEDGER_CORRUPT if the file is not a valid key. */
export function readKey(layout: Pick<Layout, 'config' | 'home' | 'key'>): SigningKey {
  const key = keyAt(layout, layout.key)
  if (key === undefined) throw new LockstepError('NOT_FOUND', `the key ${layout.key} is missing`)
  return key
}

/** The key in a file; undefined if the file is missing. Other errors: those of `readKey`. */
export function keyAt(layout: Pick<Layout, 'config' | 'home'>, path: string): SigningKey | undefined {
  let pem: string | undefined
  try {
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return undefined
    if (stat.isFile() && (stat.mode & 0o077) !== 0 && !areModesAccepted(layout)) {
      throw new LockstepError('FILE_DENIED', `other users can read ${path}, the key that signs for the ledger`, {
        hint: `Run "chmod 600 ${path}". If someone may have read it, run "lockstep key rotate" and "lockstep key retire".`,
      })
    }
    pem = readTextFile(path, limits.homeFileBytes, (is) => wrongKey(path, is))
    if (pem === undefined) return undefined
  } catch (error) {
    throw fileError(error, `reading the key ${path}`)
  }
  const key = privateKeyFrom(pem)
  if (key?.asymmetricKeyType !== 'ed25519') throw wrongKey(path, 'is not an Ed25519 key')
  return signingKey(key)
}

/** LEDGER_CORRUPT: the file is not the key that the ledger was made with. */
export function wrongKey(path: string, what: string): LockstepError {
  const hint =
    'Restore the ledger’s own key from a copy. If it is lost, move this file away and run "lockstep key adopt".'
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
