import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto'
import type { NoteSigner, VerifySignature } from '../../src/merkle/note.ts'
import { formatVkey, keyIdOf, keyTypes } from '../../src/merkle/vkey.ts'
import { bytesOf, sha256 } from '../merkle/model.ts'

/** A key of a test: the key line for logs, the key line for witnesses, and what signs with it. */
export interface TestKey {
  cosigner: NoteSigner
  note: NoteSigner
  privateKey: KeyObject
  vkey: string
  witnessVkey: string
}

/** A new key with a name. */
export function newKey(name: string): TestKey {
  const { privateKey } = generateKeyPairSync('ed25519')
  const publicKey = new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32))
  const named = { name, publicKey }
  const signs = (bytes: Uint8Array) => new Uint8Array(sign(null, bytes, privateKey))
  return {
    cosigner: { name, keyId: keyIdOf(named, sha256, keyTypes.cosignature), sign: signs },
    note: { name, keyId: keyIdOf(named, sha256), sign: signs },
    privateKey: createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' })),
    vkey: formatVkey(named, sha256),
    witnessVkey: formatVkey(named, sha256, keyTypes.cosignature),
  }
}

/** Ed25519 by Node over the wrapping that its raw keys need. */
export const verifyByNode: VerifySignature = (publicKey, message, signature) => {
  const der = Buffer.concat([bytesOf('302a300506032b6570032100'), publicKey])
  return verify(null, message, createPublicKey({ key: der, format: 'der', type: 'spki' }), signature)
}
