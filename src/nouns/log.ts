import type { z } from 'zod'
import type { HeadApi, LogApi } from '../api/log.ts'
import type { CallOptions } from '../api/operation.ts'
import type * as shapes from '../api/shapes/log.ts'
import type { Layout } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Log } from '../log/level/log.ts'
import { leafHashOf } from '../log/level/rows/leaf.ts'
import { toHex } from '../merkle/hash.ts'
import { type Publication, read, subscribe } from '../writer/subscription.ts'
import { type Handlers, untilAborted } from './served.ts'
import { checkpointOf, signerOf } from './signer.ts'

/** A log and the layout with its signing key. */
interface Ground {
  layout: Layout
  log: Log
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
  readonly #ground: Ground
  readonly #publication: Publication
  readonly #verify: () => Promise<shapes.VerifiedLedger>

  constructor(ground: Ground, publication: Publication, verify: () => Promise<shapes.VerifiedLedger>) {
    this.#ground = ground
    this.#publication = publication
    this.#verify = verify
  }

  async entry({ seq }: Given<typeof shapes.ofEntry>): Promise<Entry> {
    const { log } = this.#ground
    return entryAt(log, seq, log.head().size)
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
    const { checkpoint, root, size: at, vkey } = signedHeadOf(this.#ground, size)
    const entry = entryAt(log, seq, at)
    const proof = log.inclusionProof(seq, at).map(toHex)
    return { seq, size: at, root, leaf_hash: toHex(leafHashOf(entry)), proof, entry, checkpoint, vkey }
  }

  async consistency({ from, to }: Given<typeof shapes.compare>): Promise<shapes.ConsistencyProof> {
    const { log } = this.#ground
    const at = sizeUpTo(log, to)
    if (from > at) throw new LockstepError('INVALID_INPUT', `from must be a size of 0 to ${at}, not ${from}`)
    const proof = log.consistencyProof(from, at).map(toHex)
    return { from, from_root: toHex(log.rootAt(from)), to: at, to_root: toHex(log.rootAt(at)), proof }
  }

  verify(): Promise<shapes.VerifiedLedger> {
    return this.#verify()
  }
}

/** The published tree head. */
export function treeHeadOf(log: Log): shapes.PublishedHead {
  const { root, size } = log.head()
  return { origin: log.meta.origin, root: toHex(root), size }
}

function entryAt(log: Log, seq: number, size: number): Entry {
  const entry = seq < size ? log.entry(seq) : undefined
  if (entry !== undefined) return entry
  throw new LockstepError('NOT_FOUND', `there is no entry ${seq}; the ledger has ${size} entries`, {
    details: { seq, size },
  })
}

/** Errors: LEDGER_CORRUPT (not the key that entry 0 names), FILE_DENIED, NOT_FOUND (no key), INVALID_INPUT. */
function signedHeadOf({ layout, log }: Ground, size: number | undefined): shapes.SignedHead {
  const at = sizeUpTo(log, size)
  const signer = signerOf(log, layout)
  return { checkpoint: checkpointOf(log, signer, at), vkey: signer.vkey, size: at, root: toHex(log.rootAt(at)) }
}

function sizeUpTo(log: Log, size: number | undefined): number {
  const published = log.head().size
  if (size === undefined || size <= published) return size ?? published
  throw new LockstepError('INVALID_INPUT', `size must be 0 to ${published}, not ${size}`)
}
