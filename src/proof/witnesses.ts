import { verifySignedNote } from '../merkle/note.ts'
import { parseWitnessPolicy, verifyQuorum } from '../merkle/witness-policy.ts'
import { type Failed, failed } from './result.ts'
import { isSignatureOf } from './signatures.ts'
import { sha256 } from './values.ts'

/** A witness that cosigned a checkpoint: its name in the policy's key, and the time in seconds since 1970. */
export type Witnessed = { readonly name: string; readonly timestamp: number }

/**
 * Verifies that a note fulfils a policy (the text of a file in the form of C2SP tlog-policy): a quorum of its witnesses
 * cosigned the note and, if the policy lists logs, one of them signed it. A policy that is no text is a failure, because
 * its author meant to check.
 */
export async function quorumOf(note: string, policy: unknown): Promise<{ ok: true; witnesses: Witnessed[] } | Failed> {
  if (typeof policy !== 'string') return failed('witnesses', 'there is no policy to verify the cosignatures with')
  const parsed = await parseWitnessPolicy(policy, sha256)
  if (!parsed.ok) return failed('witnesses', `the policy cannot be used: ${parsed.reason}`)
  const { logs } = parsed.value
  const bySome = await Promise.all(logs.map(({ key }) => verifySignedNote(note, key, isSignatureOf)))
  if (logs.length > 0 && !bySome.some(({ ok }) => ok))
    return failed('witnesses', 'no log of the policy signed the checkpoint')
  const cosigned = await verifyQuorum(note, parsed.value, isSignatureOf)
  if (!cosigned.ok) return failed('witnesses', cosigned.reason)
  return { ok: true, witnesses: cosigned.value.map(({ key, timestamp }) => ({ name: key.name, timestamp })) }
}
