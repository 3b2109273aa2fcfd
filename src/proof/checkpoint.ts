import { verifySignedCheckpoint } from '../merkle/checkpoint.ts'
import { isRecord } from '../merkle/entry-line.ts'
import { toHex } from '../merkle/hash.ts'
import { parseVkey } from '../merkle/vkey.ts'
import { type Failed, failed, guarded } from './result.ts'
import { importKey, isSignatureOf } from './signatures.ts'
import { sha256 } from './values.ts'
import { quorumOf, type Witnessed } from './witnesses.ts'

/**
 * Whom the caller trusts for the heads of a ledger. `vkey` is the ledger's verifier key line, known from elsewhere: a key
 * that came with the claim proves nothing about it. `policy` is the text of a policy in the form of C2SP tlog-policy: a
 * checkpoint must then also be cosigned by a quorum of its witnesses, so that nobody can be shown another history.
 */
export type Trust = { readonly vkey: string; readonly policy?: string }

/** A tree head that the key signed. `witnesses` are those of the policy that cosigned it, if the caller has one. */
export type VerifiedCheckpoint = { ok: true; origin: string; size: number; root: string; witnesses?: Witnessed[] }

/** Verifies a checkpoint (a signed note). `trust` may be the key line alone. The returned root is in hex. */
export function verifyCheckpoint(note: unknown, trust: string | Trust): Promise<VerifiedCheckpoint | Failed> {
  return guarded(() => signedHead(note, trust))
}

/** As `verifyCheckpoint`, for callers that are guarded themselves and whose trust may have any value. */
export async function signedHead(note: unknown, trust: unknown): Promise<VerifiedCheckpoint | Failed> {
  const vkey = isRecord(trust) ? trust.vkey : trust
  if (typeof vkey !== 'string') return failed('key', 'there is no key to verify the checkpoint with')
  if (typeof note !== 'string') return failed('checkpoint', 'there is no checkpoint')
  const key = await parseVkey(vkey, sha256)
  if (!key.ok) return failed('key', key.reason)
  const publicKey = await importKey(key.value.publicKey)
  if (!publicKey.ok) return publicKey
  const checkpoint = await verifySignedCheckpoint(note, key.value, isSignatureOf)
  if (!checkpoint.ok) return failed('checkpoint', checkpoint.reason)
  const head = { ...checkpoint.value, root: toHex(checkpoint.value.root) }
  if (!isRecord(trust) || !Object.hasOwn(trust, 'policy')) return { ok: true, ...head }
  const quorum = await quorumOf(note, trust.policy)
  return quorum.ok ? { ...quorum, ...head } : quorum
}
