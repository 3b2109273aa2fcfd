import type { z } from 'zod'
import type { HeadApi, LogApi } from '../api/log.ts'
import type { CallOptions } from '../api/operation.ts'
import type * as shapes from '../api/shapes/log.ts'
import { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import type { StoredEntry } from '../log/free-texts.ts'
import { leafHashOfText } from '../log/leaf.ts'
import type { Log } from '../log/log.ts'
import { sha256 } from '../log/sha256.ts'
import { keyTextOf, signersOf } from '../log/signer.ts'
import { entryAt, overTiles, rootOf, treeHeadOf } from '../log/tiles.ts'
import { toHex } from '../merkle/hash.ts'
import { consistencyProof, inclusionProof } from '../merkle/proofs.ts'
import type { Core } from '../writer/core.ts'
import { type Publication, read, subscribe } from '../writer/subscription.ts'
import { sealLedger } from './seal.ts'
import { type Handlers, untilAborted } from './served.ts'

/** A log and the layout with its signing key. */
type Ground = Pick<Core, 'layout' | 'log'>

/** What concerns the ledger as a whole. */
export interface WholeLedger {
  backUp(input: { file: string }): Promise<shapes.BackedUpLedger>
  verify(): Promise<shapes.VerifiedLedger>
}

type Given<Schema extends z.ZodType> = z.output<Schema>

/** The head of the log, and its signature. */
export class HeadOfLog implements Handlers<HeadApi> {
  readonly #ground: Ground

  constructor(ground: Ground) {
    this.#ground = ground
  }

  async get(): Promise<shapes.PublishedHead> {
    return treeHeadOf(this.#ground.log)
  }

  async signed({ size }: Given<typeof shapes.signHead>): Promise<shapes.SignedHead> {
    return signedHeadOf(this.#ground, size)
  }
}

/** The entries of the log and their proofs. */
export class Entries implements Handlers<LogApi> {
  readonly #ground: Core
  readonly #publication: Publication
  readonly #whole: WholeLedger

  constructor(ground: Core, publication: Publication, whole: WholeLedger) {
    this.#ground = ground
    this.#publication = publication
    this.#whole = whole
  }

  async entry({ seq }: Given<typeof shapes.ofEntry>): Promise<Entry> {
    const { log } = this.#ground
    return entryBelow(log, seq, log.head().size)
  }

  read(range: Given<typeof shapes.read>, options: CallOptions): AsyncIterable<Entry> {
    return untilAborted(read(this.#ground.log, range), options)
  }

  subscribe({ from }: Given<typeof shapes.subscribe>, { signal }: CallOptions): AsyncIterable<Entry> {
    const { log } = this.#ground
    return subscribe(log, this.#publication, { from: from ?? log.head().size, signal })
  }

  async prove({ seq, size }: Given<typeof shapes.prove>): Promise<shapes.EntryProof> {
    const { log } = this.#ground
    const { checkpoint, root, size: at, vkey } = await signedHeadOf(this.#ground, size)
    await entryBelow(log, seq, at)
    const [stored] = (await log.load([{ view: 'stored', key: seq }])) as [StoredEntry]
    const proof = (await overTiles(log, (tiles) => inclusionProof(seq, at, tiles, sha256))).map(toHex)
    const { text, texts = [] } = stored
    const disclosures = texts.filter((each) => 'text' in each)
    const leaf_hash = toHex(leafHashOfText(text))
    return { seq, size: at, root, leaf_hash, proof, entry: JSON.parse(text), disclosures, checkpoint, vkey }
  }

  async consistency({ from, to }: Given<typeof shapes.compare>): Promise<shapes.ConsistencyProof> {
    const { log } = this.#ground
    const at = sizeUpTo(log, to)
    if (from > at) throw new LockstepError('INVALID_INPUT', `from must be a size of 0 to ${at}, not ${from}`)
    const proof = (await overTiles(log, (tiles) => consistencyProof(from, at, tiles, sha256))).map(toHex)
    return { from, from_root: toHex(await rootOf(log, from)), to: at, to_root: toHex(await rootOf(log, at)), proof }
  }

  verify(): Promise<shapes.VerifiedLedger> {
    return this.#whole.verify()
  }

  backup(input: Given<typeof shapes.backup>): Promise<shapes.BackedUpLedger> {
    return this.#whole.backUp(input)
  }

  seal(input: Given<typeof shapes.seal>): Promise<shapes.SealedLedger> {
    return sealLedger(this.#ground, input)
  }
}

async function entryBelow(log: Log, seq: number, size: number): Promise<Entry> {
  const entry = seq < size ? await entryAt(log, seq) : undefined
  if (entry !== undefined) return entry
  throw new LockstepError('NOT_FOUND', `there is no entry ${seq}; the ledger has ${size} entries`, {
    details: { seq, size },
  })
}

/** Errors: those of `signersOf`, SIGNER_FAILED, INVALID_INPUT. */
async function signedHeadOf({ layout, log }: Ground, size: number | undefined): Promise<shapes.SignedHead> {
  const at = sizeUpTo(log, size)
  // The last signed head would be given out without a key, too.
  await signersOf(log, layout, at)
  const { note, root } = await log.sign(at)
  return { checkpoint: note, vkey: (await keyTextOf(log)).trimEnd(), size: at, root }
}

function sizeUpTo(log: Log, size: number | undefined): number {
  const published = log.head().size
  if (size === undefined || size <= published) return size ?? published
  throw new LockstepError('INVALID_INPUT', `size must be 0 to ${published}, not ${size}`)
}
