import { isRecord } from '../merkle/entry-line.ts'
import { toHex } from '../merkle/hash.ts'
import { keysFrom, verifyHeadByKeys } from '../merkle/keys.ts'
import { parseVkey } from '../merkle/vkey.ts'
import { type Failed, failed, guarded } from './result.ts'
import { importKey, isSignatureOf } from './signatures.ts'
import { sha256 } from './values.ts'
import { quorumOf, type Witnessed } from './witnesses.ts'

/**
 * Whom the caller trusts for the heads of a ledger. `vkey` is the ledger's verifier key line, known from elsewhere: a key
 * that came with the claim proves nothing about it. It may also be the text of `key.pub`, whose further lines are signed
 * statements about keys that were added and retired. `policy` is the text of a policy in the form of C2SP tlog-policy: a
 * checkpoint must then also be cosigned by a quorum of its witnesses, so that nobody can be shown another history.
 */
export type Trust = { readonly vkey: string; readonly policy?: string }

/**
 * A tree head that a key signed which was in force at its size. `witnesses` are those of the policy that cosigned it, if
 * the caller has one.
 */
export type VerifiedCheckpoint = { ok: true; origin: string; size: number; root: string; witnesses?: Witnessed[] }

/**
 * Verifies a checkpoint (a signed note). `trust` may be the key alone. The returned root is in hex. A key signs only the
 * sizes at which it was in force.
 */
export function verifyCheckpoint(note: unknown, trust: string | Trust): Promise<VerifiedCheckpoint | Failed> {
  return guarded(() => signedHead(note, trust))
}

/**
 * As `verifyCheckpoint`, for callers that are guarded themselves and whose trust may have any value. `claimed` is the key
 * that came with the claim: its statements are followed from the trusted key.
 */
export async function signedHead(
  note: unknown,
  trust: unknown,
  claimed?: unknown,
): Promise<VerifiedCheckpoint | Failed> {
  const vkey = isRecord(trust) ? trust.vkey : trust
  if (typeof vkey !== 'string') return failed('key', 'there is no key to verify the checkpoint with')
  if (typeof note !== 'string') return failed('checkpoint', 'there is no checkpoint')
  const parsed = await parseVkey(vkey.split('\n')[0] ?? '', sha256)
  if (!parsed.ok) return failed('key', parsed.reason)
  // A key that this platform cannot use is named before any signature by it.
  const usable = await importKey(parsed.value.publicKey)
  if (!usable.ok) return usable
  const means = { hash: sha256, verify: isSignatureOf }
  const keys = await keysFrom(vkey, means, typeof claimed === 'string' ? claimed : undefined)
  if (!keys.ok) return failed('key', keys.reason)
  const checkpoint = await verifyHeadByKeys(note, keys.value, isSignatureOf)
  if (!checkpoint.ok) return failed('checkpoint', checkpoint.reason)
  const head = { ...checkpoint.value, root: toHex(checkpoint.value.root) }
  if (!isRecord(trust) || !Object.hasOwn(trust, 'policy')) return { ok: true, ...head }
  const quorum = await quorumOf(note, trust.policy)
  return quorum.ok ? { ...quorum, ...head } : quorum
}
