import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileError, makeFolder, writeDurably } from '../disk/durable.ts'
import { createKey, readKey } from '../disk/key-file.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { sha256 } from '../log/sha256.ts'
import { isSignatureOf } from '../log/signer.ts'
import { parseSubmission, type Submission, sizeType } from '../merkle/add-checkpoint.ts'
import { type Checkpoint, parseCheckpoint } from '../merkle/checkpoint.ts'
import { cosign, verifyCosignatures } from '../merkle/cosignature.ts'
import { toHex } from '../merkle/hash.ts'
import { formatSignedNote, type NoteSigner, parseSignedNote, verifySignedNote } from '../merkle/note.ts'
import { verifyConsistency } from '../merkle/proofs.ts'
import { formatVkey, isKeyName, keyIdOf, keyTypes, parseVkey, type Vkey } from '../merkle/vkey.ts'
import { type Head, WitnessHeads } from './witness-heads.ts'

/** An answer of a witness over HTTP. `size` is the size of the checkpoint that was cosigned, for the log. */
export interface WitnessAnswer {
  status: number
  type: string
  body: string
  size?: number
}

/** Seconds since 1970. */
export type Seconds = () => number

/**
 * A witness (C2SP tlog-witness): it cosigns the checkpoints of the logs that it was told to watch, if each extends the
 * one before. The newest checkpoint of each log is durable before its cosignature leaves the witness. Requests for one
 * log are answered one after the other.
 */
export class Witness {
  /** The key line that verifies the cosignatures. */
  readonly vkey: string
  readonly #heads: WitnessHeads
  readonly #key: Vkey
  readonly #logs: ReadonlyMap<string, readonly Vkey[]>
  readonly #now: Seconds
  readonly #queues = new Map<string, Promise<unknown>>()
  readonly #signer: NoteSigner

  private constructor(
    { heads, key, signer, vkey }: { heads: WitnessHeads; key: Vkey; signer: NoteSigner; vkey: string },
    { logs, now }: { logs: readonly Vkey[]; now: Seconds },
  ) {
    this.vkey = vkey
    this.#heads = heads
    this.#key = key
    this.#signer = signer
    this.#logs = grouped(logs)
    this.#now = now
  }

  /**
   * Opens the folder of a witness, or makes it with a new key of this name. All heads are verified. Errors:
   * INVALID_INPUT (a new witness without a name, a name that differs), LEDGER_CORRUPT (a head is not one that this
   * witness cosigned), FILE_DENIED, FILE_FAILED.
   */
  static async open(
    dir: string,
    { name, ...rest }: { name: string | undefined; logs: readonly Vkey[]; now: Seconds },
  ): Promise<Witness> {
    makeFolder(join(dir, 'heads'), 0o700)
    const { key, sign } = await keyIn(dir, name)
    const vkey = formatVkey(key, sha256, keyTypes.cosignature)
    const heads = new WitnessHeads(join(dir, 'heads'))
    const witness = new Witness({ heads, key, signer: { keyId: key.keyId, name: key.name, sign }, vkey }, rest)
    for (const log of heads.logs()) await witness.#headOf(log)
    return witness
  }

  /** The name of the key. */
  get name(): string {
    return this.#key.name
  }

  /** The newest checkpoint that was cosigned, by the SHA-256 of the log's origin in hex. Errors: as for `open`. */
  async checkpointOf(log: string): Promise<string | undefined> {
    return (await this.#headOf(log))?.head.note
  }

  /** Answers a request to cosign a checkpoint. Errors: those of the file system; nothing was cosigned then. */
  async addCheckpoint(body: string): Promise<WitnessAnswer> {
    const submission = parseSubmission(body)
    if (!submission.ok) return refused(400, submission.reason)
    const note = parseSignedNote(submission.value.checkpoint)
    if (!note.ok) return refused(400, note.reason)
    const checkpoint = parseCheckpoint(note.value.text)
    if (!checkpoint.ok) return refused(400, checkpoint.reason)
    const keys = this.#logs.get(checkpoint.value.origin)
    if (keys === undefined) return refused(404, 'this witness does not watch a log of this origin')
    const signed = await signedBy(submission.value.checkpoint, keys)
    if (signed === undefined) return refused(403, 'no key that this witness knows for the log signed the checkpoint')
    return this.#inTurn(checkpoint.value.origin, () => this.#answer(submission.value, checkpoint.value, signed))
  }

  /** Runs work on a log after all earlier work on it. */
  #inTurn<T>(origin: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#queues.get(origin) ?? Promise.resolve()).then(work)
    const settled = result.catch(() => {})
    this.#queues.set(origin, settled)
    void settled.then(() => {
      if (this.#queues.get(origin) === settled) this.#queues.delete(origin)
    })
    return result
  }

  async #answer({ old, proof }: Submission, checkpoint: Checkpoint, signed: string): Promise<WitnessAnswer> {
    if (old > checkpoint.size) return refused(400, 'the old size is larger than the checkpoint')
    const log = toHex(sha256(checkpoint.origin))
    const known = await this.#headOf(log)
    const { root: fromRoot, size: from } = known?.checkpoint ?? { root: sha256(''), size: 0 }
    if (old !== from) return { status: 409, type: sizeType, body: `${from}\n` }
    const isGrown = await verifyConsistency(
      { from, fromRoot, to: checkpoint.size, toRoot: checkpoint.root, proof },
      sha256,
    )
    if (!isGrown) {
      if (from === checkpoint.size && proof.length === 0)
        return refused(409, 'the root differs from the one that this witness cosigned for this size')
      return refused(422, 'the proof does not show that the checkpoint extends the one that was cosigned last')
    }
    const { text } = parts(signed)
    const line = await cosign(text, this.#now(), this.#signer)
    // A checkpoint that is the head already is cosigned anew, and nothing has to be kept.
    const isNew = known === undefined || checkpoint.size > from
    if (isNew && !(await this.#heads.advance(log, known?.head.count ?? 0, signed + line)))
      return refused(503, 'another process advanced this log')
    return { status: 200, type: 'text/plain; charset=utf-8', body: line, size: checkpoint.size }
  }

  /** The head of a log, after its cosignature was verified. What this witness did not cosign is no head. */
  async #headOf(log: string): Promise<{ head: Head; checkpoint: Checkpoint } | undefined> {
    const head = this.#heads.newest(log)
    if (head === undefined) return undefined
    const own = await verifyCosignatures(head.note, [this.#key], isSignatureOf)
    const checkpoint = own.ok && own.value.length === 1 ? parseCheckpoint(parts(head.note).text) : undefined
    if (checkpoint?.ok && toHex(sha256(checkpoint.value.origin)) === log) return { head, checkpoint: checkpoint.value }
    throw new LockstepError(
      'LEDGER_CORRUPT',
      `the head ${head.count} of the log ${log} was not cosigned by this witness`,
      {
        details: { log },
        hint: 'Restore the folder of the witness. A witness that forgets what it cosigned must get a new key.',
      },
    )
  }
}

/** The parts of a note that was parsed before. */
function parts(note: string) {
  const parsed = parseSignedNote(note)
  if (!parsed.ok) throw new RangeError(parsed.reason)
  return parsed.value
}

/** The note with only its signature by one of these keys; undefined if none of them signed it. */
async function signedBy(note: string, keys: readonly Vkey[]): Promise<string | undefined> {
  for (const key of keys) {
    const text = await verifySignedNote(note, key, isSignatureOf)
    if (!text.ok) continue
    const keyId = toHex(key.keyId)
    const own = parts(note).signatures.find((one) => one.name === key.name && toHex(one.keyId) === keyId)
    if (own !== undefined) return formatSignedNote({ text: text.value, signatures: [own] })
  }
  return undefined
}

function refused(status: number, reason: string): WitnessAnswer {
  return { status, type: 'text/plain; charset=utf-8', body: `${reason}\n` }
}

function grouped(logs: readonly Vkey[]): Map<string, Vkey[]> {
  const byName = new Map<string, Vkey[]>()
  for (const key of logs) byName.set(key.name, [...(byName.get(key.name) ?? []), key])
  return byName
}

/** The key of a witness and its name. `key.pub` has the key line; it is made after the key, and names it. */
async function keyIn(dir: string, name: string | undefined) {
  const [path, lineFile] = [join(dir, 'key'), join(dir, 'key.pub')]
  const line = readTextFile(lineFile, limits.homeFileBytes, (is) => invalid(`${lineFile} ${is}`))
  const known = line === undefined ? undefined : await parseVkey(line.trim(), sha256, keyTypes.cosignature)
  if (known?.ok === false) throw invalid(`${lineFile}: ${known.reason}`)
  const keyName = known?.value.name ?? name
  if (keyName === undefined) throw invalid('a new witness needs a name, such as witness.example/w1')
  if (!isKeyName(keyName)) throw invalid(`"${keyName}" is not a valid key name`)
  if (name !== undefined && name !== keyName)
    throw invalid(`the witness in ${dir} has the name ${keyName}, not ${name}`)
  try {
    const { publicKey, sign } = existsSync(path)
      ? readKey({ config: join(dir, 'config.json'), home: dir, key: path })
      : createKey(path)
    const named = { name: keyName, publicKey }
    const vkey = formatVkey(named, sha256, keyTypes.cosignature)
    if (line === undefined) await writeDurably(lineFile, `${vkey}\n`)
    else if (line.trim() !== vkey) throw invalid(`${lineFile} is not the line of the key ${path}`)
    return { key: { ...named, keyId: keyIdOf(named, sha256, keyTypes.cosignature) }, sign }
  } catch (error) {
    throw fileError(error, `opening the witness in ${dir}`)
  }
}

function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_INPUT', message)
}
