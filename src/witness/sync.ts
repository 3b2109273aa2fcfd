import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Api } from '../api/api.ts'
import { fileError } from '../disk/durable.ts'
import type { Layout } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { sha256 } from '../log/sha256.ts'
import { isSignatureOf } from '../log/signer.ts'
import { verifyCosignatures } from '../merkle/cosignature.ts'
import { fromHex } from '../merkle/hash.ts'
import { type PolicyKey, parseWitnessPolicy, verifyQuorum, type WitnessPolicy } from '../merkle/witness-policy.ts'
import { askWitness, lastCheckpointOf, type WitnessResult } from './ask-witness.ts'
import { assertExtends } from './fork.ts'
import { type KeptNote, keepNote, keptNotes, newestQuorum } from './kept-notes.ts'

/** What came of a round of asking all witnesses for one checkpoint. */
export interface WitnessSync {
  /** Whether the witnesses that cosigned are a quorum of the policy. */
  is_quorum: boolean
  /** The checkpoint with all cosignatures. */
  note: string
  origin: string
  /** The size of the newest checkpoint that a quorum cosigned; null if there is none yet. */
  quorum_size: number | null
  size: number
  witnesses: WitnessAnswered[]
}

/** A witness and its answer. */
export interface WitnessAnswered {
  name: string
  reason?: string
  /** The size that a witness which is ahead names. */
  size?: number
  status: WitnessResult['status']
  /** When the witness cosigned, in seconds since 1970. */
  timestamp?: number
}

/** How a round is made. */
export interface SyncOptions {
  /** How long a witness may take for one answer. */
  answerMillis?: number
  layout: Layout
  /** Called after each answer. */
  onAnswer?: (done: number, total: number) => void
  policy: WitnessPolicy
}

/** What a round needs of a ledger. */
type Ledger = Pick<Api, 'head' | 'keys' | 'log'>

/** The policy in a text. Errors: INVALID_INPUT, which names the line. */
export async function policyIn(text: string, file: string): Promise<WitnessPolicy> {
  const policy = await parseWitnessPolicy(text, sha256)
  if (policy.ok) return policy.value
  throw new LockstepError('INVALID_INPUT', `${file}: ${policy.reason}`, { details: { file } })
}

/**
 * The policy in the file that a configuration names, relative to the root. Errors: INVALID_INPUT, NOT_FOUND, FILE_DENIED,
 * FILE_FAILED.
 */
export async function configuredPolicy({ root }: Pick<Layout, 'root'>, file: string): Promise<WitnessPolicy> {
  const path = resolve(root, file)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw fileError(error, `reading the policy of witnesses ${path}`)
  }
  return policyIn(text, path)
}

/**
 * Sends the newest checkpoint to all witnesses of a policy at the same time, and keeps it with their cosignatures. What
 * a witness does never stops the ledger, except if it has proof: a checkpoint by this ledger's key that the ledger does
 * not extend. Errors: LEDGER_FORKED, INVALID_INPUT (no witness of the policy has a URL; the policy does not list the
 * ledger's key), those of the files.
 */
export async function syncWitnesses(
  ledger: Ledger,
  { answerMillis = limits.witnessAnswerMillisMax, layout, onAnswer, policy }: SyncOptions,
): Promise<WitnessSync> {
  const { checkpoint, size, vkey } = await ledger.head.signed()
  const { origin } = await ledger.head.get()
  const witnesses = policy.witnesses.filter(({ url }) => url !== undefined)
  if (witnesses.length === 0) throw new LockstepError('INVALID_INPUT', 'no witness of the policy has a URL')
  demandListed(policy, vkey)
  const kept = keptNotes(layout, origin)
  for (const { note } of kept) await assertExtends(ledger, layout, note)
  const proofFrom = async (from: number) => {
    const { proof } = await ledger.log.consistency({ from, to: size })
    return proof.map((hash) => fromHex(hash) ?? new Uint8Array())
  }
  let done = 0
  const results = await Promise.all(
    witnesses.map(async (witness) => {
      const old = await lastSizeOf(witness, kept)
      const result = await askWitness(witness, { answerMillis, checkpoint, old, proofFrom, size })
      if (result.status === 'ahead' || result.status === 'conflict') {
        const theirs = await lastCheckpointOf(witness, origin, answerMillis)
        if (theirs !== undefined) await assertExtends(ledger, layout, theirs)
      }
      done += 1
      onAnswer?.(done, witnesses.length)
      return result
    }),
  )
  const lines = results.flatMap((result) => (result.status === 'cosigned' ? [result.line] : []))
  const note = lines.length === 0 ? checkpoint : await keepNote(layout, checkpoint + lines.join(''), policy)
  const quorum = await newestQuorum(layout, { origin, policy })
  return {
    is_quorum: (await verifyQuorum(note, policy, isSignatureOf)).ok,
    note,
    origin,
    quorum_size: quorum?.checkpoint.size ?? null,
    size,
    witnesses: results.map((result, index) => answered(witnesses[index]?.name ?? '', result)),
  }
}

/** Errors: INVALID_INPUT. */
function demandListed({ logs }: WitnessPolicy, vkey: string): void {
  const [name] = vkey.split('+')
  if (logs.length === 0 || logs.some(({ key }) => key.name === name)) return
  throw new LockstepError('INVALID_INPUT', `the policy lists logs, but not this ledger, ${name}`)
}

/** The largest size of the kept notes that a witness cosigned, or 0. */
async function lastSizeOf({ key }: PolicyKey, kept: readonly KeptNote[]): Promise<number> {
  for (const { checkpoint, note } of kept) {
    const own = await verifyCosignatures(note, [key], isSignatureOf)
    if (own.ok && own.value.length > 0) return checkpoint.size
  }
  return 0
}

function answered(name: string, result: WitnessResult): WitnessAnswered {
  const { status } = result
  return {
    name,
    status,
    ...('reason' in result ? { reason: result.reason } : {}),
    ...('size' in result ? { size: result.size } : {}),
    ...('timestamp' in result ? { timestamp: result.timestamp } : {}),
  }
}
