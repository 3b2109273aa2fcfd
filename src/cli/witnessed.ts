import type { LedgerHere } from '../api/api.ts'
import type { EntryProof } from '../api/shapes/log.ts'
import { layoutOf } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { fromHex } from '../merkle/hash.ts'
import { formatTlogProof } from '../merkle/tlog-proof.ts'
import type { WitnessPolicy } from '../merkle/witness-policy.ts'
import { type Kept, notWitnessed } from '../nouns/kept-checkpoints.ts'
import { checkpointIn, newestQuorum } from '../witness/kept-notes.ts'
import { policyIn } from '../witness/sync.ts'
import { readText } from './input-file.ts'

/** The policy in a file. Errors: INVALID_INPUT, those of reading it. */
export function policyOf(file: string): Promise<WitnessPolicy> {
  return policyIn(readText(file, limits.homeFileBytes), file)
}

/** The newest checkpoint of a ledger here that a quorum cosigned. Errors: VERIFY_FAILED (`witnesses`). */
export async function newestWitnessed(ledger: LedgerHere, policy: WitnessPolicy): Promise<Kept> {
  const { origin } = await ledger.head.get()
  const kept = await newestQuorum(layoutOf(ledger.dir), { origin, policy })
  if (kept === undefined) throw notWitnessed('no quorum of the policy has cosigned a checkpoint of this ledger', {})
  return { file: `the newest cosigned checkpoint, of size ${kept.checkpoint.size}`, note: kept.note }
}

/**
 * The proof of an entry in the tree of the newest checkpoint that a quorum cosigned, with that checkpoint. Errors:
 * VERIFY_FAILED (`witnesses`) without one, NOT_FOUND (the entry is newer), LEDGER_CORRUPT (it is of another tree).
 */
export async function provenToWitnesses(ledger: LedgerHere, seq: number, policy: WitnessPolicy): Promise<EntryProof> {
  const { note } = await newestWitnessed(ledger, policy)
  const size = checkpointIn(note)?.size ?? 0
  if (seq >= size) {
    throw new LockstepError('NOT_FOUND', `entry ${seq} is not in the newest cosigned checkpoint, of size ${size}`, {
      details: { seq, size },
      hint: 'Run "lockstep witness sync" first.',
    })
  }
  const proof = await ledger.log.prove({ seq, size })
  if (textOf(proof.checkpoint) !== textOf(note))
    throw new LockstepError('LEDGER_CORRUPT', `the cosigned checkpoint of size ${size} is of another history`)
  return { ...proof, checkpoint: note }
}

/** The proof as a text of C2SP tlog-proof. Its line "extra" has the entry, as it was hashed. */
export function tlogProofOf({ checkpoint, entry, proof, seq }: EntryProof): string {
  const hashes = proof.map((hash) => fromHex(hash) ?? new Uint8Array())
  return formatTlogProof({ checkpoint, extra: Buffer.from(JSON.stringify(entry)), index: seq, proof: hashes })
}

const textOf = (note: string) => note.slice(0, note.indexOf('\n\n'))
