import { createHash } from 'node:crypto'
import { LockstepError, messageOf, systemCodeOf } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { isSignatureOf } from '../log/signer.ts'
import { formatSubmission, sizeIn, sizeType } from '../merkle/add-checkpoint.ts'
import { verifyCosignatures } from '../merkle/cosignature.ts'
import { sameBytes } from '../merkle/hash.ts'
import { formatSignatureLine, parseSignatureLine } from '../merkle/note.ts'
import type { PolicyKey } from '../merkle/witness-policy.ts'
import { type SmallAnswer, sendSmall } from './http.ts'

/** What came of asking one witness. */
export type WitnessResult =
  /** It cosigned at this time, in seconds since 1970. */
  | { status: 'cosigned'; line: string; timestamp: number }
  /** It cosigned a larger checkpoint of this origin. */
  | { status: 'ahead'; size: number }
  /** It knows another root for this origin, or does not accept a proof from the size that it names. */
  | { status: 'conflict'; reason: string }
  /** It answered with a cosignature that is missing or wrong. */
  | { status: 'bad_cosignature'; reason: string }
  /** It does not know the ledger or its key, or does not understand the request. */
  | { status: 'refused'; reason: string }
  | { status: 'unreachable'; reason: string }

/** A checkpoint to be cosigned. `proofFrom` proves that its tree begins with the tree of a smaller size. */
export interface ToCosign {
  /** How long the witness may take for one answer. */
  answerMillis: number
  checkpoint: string
  /** The size that the witness cosigned last, as far as this ledger knows. */
  old: number
  proofFrom: (size: number) => Promise<Uint8Array[]>
  size: number
}

/**
 * Asks a witness to cosign a checkpoint. If the witness names another size, it is asked again from there. A witness that
 * cannot be reached, or has no time, is asked a few times. Never rejects for anything that the witness does.
 */
export async function askWitness(
  witness: PolicyKey,
  { answerMillis, checkpoint, old, proofFrom, size }: ToCosign,
): Promise<WitnessResult> {
  let from = Math.min(old, size)
  let isNamed = false
  for (let asked = 0; asked < limits.witnessTriesMax; asked += 1) {
    const body = formatSubmission({ old: from, proof: await proofFrom(from), checkpoint })
    const answer = await send(witness, body, answerMillis)
    if ('status' in answer && answer.status === 'unreachable') return answer
    const { status, text, type } = answer as SmallAnswer
    if (status === 200) return cosignatureIn(text, checkpoint, witness)
    const reason = `${status}: ${text.slice(0, 200).trim()}`
    if (status === 409 && type.split(';')[0] === sizeType) {
      const named = sizeIn(text.replace(/\n$/, ''))
      if (named === undefined) return { status: 'refused', reason }
      if (named > size) return { status: 'ahead', size: named }
      if (named === from) return { status: 'conflict', reason }
      from = named
      isNamed = true
      continue
    }
    if (status === 409) return { status: 'conflict', reason }
    // The size may be one that this ledger only remembers; the witness is then asked for the size that it has.
    if (status === 422 && !isNamed && from > 0) {
      from = 0
      continue
    }
    return { status: status === 422 ? 'conflict' : 'refused', reason }
  }
  return { status: 'conflict', reason: 'the witness named a new size each time that it was asked' }
}

/**
 * The checkpoint that a witness cosigned last for an origin, from a witness that shows it (C2SP tlog-mirror).
 * Undefined if it does not. The checkpoint is not verified.
 */
export async function lastCheckpointOf(
  { url = '' }: PolicyKey,
  origin: string,
  millis: number,
): Promise<string | undefined> {
  const log = createHash('sha256').update(origin).digest('hex')
  try {
    const path = `${url.replace(/\/+$/, '')}/${log}/checkpoint`
    const { status, text } = await sendSmall(path, { method: 'GET', millis })
    return status === 200 ? text : undefined
  } catch {
    // Many witnesses do not show their checkpoints. That a witness refused ours is an alarm all the same.
    return undefined
  }
}

/** Sends the request. What another attempt may change is tried again. */
async function send(
  { url = '' }: PolicyKey,
  body: string,
  millis: number,
): Promise<SmallAnswer | { status: 'unreachable'; reason: string }> {
  const path = `${url.replace(/\/+$/, '')}/add-checkpoint`
  let reason = ''
  for (let tries = 0; tries < limits.witnessTriesMax; tries += 1) {
    if (tries > 0) await new Promise((resolve) => setTimeout(resolve, limits.witnessPauseMillis * 2 ** (tries - 1)))
    try {
      const answer = await sendSmall(path, { body, method: 'POST', millis })
      if (answer.status < 500 && answer.status !== 429) return answer
      reason = `it answered ${answer.status}`
    } catch (error) {
      reason = messageOf(error)
      // A witness that is slow, or answers too much, would be so again.
      if (!(error instanceof LockstepError) || !/^E(?!RR_)/.test(systemCodeOf(error.cause) ?? '')) break
    }
  }
  return { status: 'unreachable', reason }
}

/** The cosignature of this witness in an answer. Lines by other keys are ignored. */
async function cosignatureIn(text: string, checkpoint: string, { key }: PolicyKey): Promise<WitnessResult> {
  const signatures = text.split('\n').slice(0, -1).map(parseSignatureLine)
  const own = signatures.find((one) => one?.name === key.name && sameBytes(one.keyId, key.keyId))
  if (own === undefined) return { status: 'bad_cosignature', reason: 'the answer has no cosignature by its key' }
  const line = formatSignatureLine(own)
  const verified = await verifyCosignatures(checkpoint + line, [key], isSignatureOf)
  const [cosignature] = verified.ok ? verified.value : []
  if (cosignature === undefined) return { status: 'bad_cosignature', reason: 'the cosignature is wrong' }
  return { status: 'cosigned', line, timestamp: cosignature.timestamp }
}
