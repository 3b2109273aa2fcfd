import { LockstepError } from '../errors.ts'
import { OneByOne } from '../kernel/one-by-one.ts'
import { signCheckpoint } from '../merkle/checkpoint.ts'
import { fromHex, toHex } from '../merkle/hash.ts'
import { type ConsistencyClaim, consistencyProof, verifyConsistency } from '../merkle/proofs.ts'
import { problemOfHead } from './head-keys.ts'
import type { Log, SignedHead, TreeHead, TreeHeadFile } from './log.ts'
import { sha256 } from './sha256.ts'
import type { Signer } from './signer.ts'
import { overTiles, rootOf, treeHeadOf } from './tiles.ts'

/** A place outside the store where a tree head is kept. */
export interface HeadPlace {
  /** Errors: LEDGER_CORRUPT if what is there is not a tree head. */
  read(): TreeHeadFile | undefined
  /** Durably. */
  write(file: TreeHeadFile): Promise<void>
}

interface HeadsParts {
  log: Log
  /** The keys that sign a size. They are asked for each time, because a ledger can get other keys. */
  signers: (size: number) => Promise<readonly Signer[]>
  /** The last head that was signed. Its signature was checked. Undefined if none was signed yet. */
  last: (TreeHead & { note?: string }) | undefined
  /** Undefined if heads are kept in memory only. */
  place?: HeadPlace
}

/**
 * The only place where a tree head is signed (ADR 0063). Before each signature it proves, from the tiles, that the tree
 * and the last signed head are of one history. A newer head is kept durably before its signature is given out, so that
 * the next process begins with it. Only the process that has the ledger open makes heads newer; a copy signs sizes that
 * a signed head covers. So no two processes can sign two histories.
 */
export class Heads {
  readonly #parts: HeadsParts
  #last: HeadsParts['last']
  /** Only one write of the head file runs at a time. */
  readonly #writes = new OneByOne()
  /** The step after the one that runs. Callers who come meanwhile share it. */
  #next: Promise<SignedHead> | undefined
  #giveUp: () => void = () => {}
  readonly #givenUp: Promise<never>

  constructor(parts: HeadsParts) {
    this.#parts = parts
    this.#last = parts.last
    this.#givenUp = new Promise<never>((_, reject) => {
      this.#giveUp = () => reject(new Error('the ledger was closed before the signer answered'))
    })
    this.#givenUp.catch(() => {})
  }

  /**
   * The signed tree head of a size. Errors: LEDGER_CORRUPT if the tree does not continue the last signed head; those of
   * the signer and of the place. Cost: if no signed head covers this size, a durable write of the newest one.
   */
  async sign(size: number): Promise<SignedHead> {
    try {
      const newest = this.#last === undefined || size > this.#last.size ? await this.#step() : this.#last
      if (newest.size !== size || !isSigned(newest)) return await this.#signed(size)
      const { log } = this.#parts
      const root = toHex(await rootOf(log, size))
      if (root !== newest.root) throw inconsistent({ origin: newest.origin, root, size }, newest)
      return newest
    } catch (error) {
      throw error instanceof Unsigned ? error.cause : error
    }
  }

  /**
   * Signs and keeps the newest head. Returns false if the signer failed, or did not answer within `millisMax`. The head is
   * then kept without a signature, so that a loss of the newest entries is noticed, and a later call signs it.
   * Errors: as for `sign`, without those of the signer.
   */
  async keep(millisMax?: number): Promise<boolean> {
    const timer = millisMax === undefined ? undefined : setTimeout(() => this.#giveUp(), millisMax)
    try {
      await this.#step()
      return true
    } catch (error) {
      if (!(error instanceof Unsigned)) throw error
      await this.#writes.run(() => this.#keepUnsigned())
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  #step(): Promise<SignedHead> {
    this.#next ??= this.#writes.run(() => {
      this.#next = undefined
      return this.#makeNewest()
    })
    return this.#next
  }

  async #makeNewest(): Promise<SignedHead> {
    const { log, place } = this.#parts
    const head = treeHeadOf(log)
    const last = this.#last
    const there = read(place)
    if (last !== undefined && isSigned(last) && isSame(last, head)) {
      // Something else may have removed or replaced the file since.
      if (place !== undefined && (there?.note !== last.note || there.reached !== undefined)) await place.write(last)
      return last
    }
    // If this key signed a head that this process does not know, the tree must have that one, too.
    if (there?.note !== last?.note && there !== undefined && (await problemOfHead(log, there)) === undefined) {
      await this.#prove(head, there)
    }
    const signed = await this.#signed(head.size)
    await place?.write(signed)
    this.#last = signed
    return signed
  }

  /** The one call that signs a tree head. */
  async #signed(size: number): Promise<SignedHead> {
    const { log, signers } = this.#parts
    const root = await rootOf(log, size)
    const head = { origin: log.meta.origin, root: toHex(root), size }
    const newest = treeHeadOf(log)
    if (size === newest.size && head.root !== newest.root) throw inconsistent(head, newest)
    if (this.#last !== undefined) await this.#prove(head, this.#last)
    const signing = signers(size).then((known) => signCheckpoint({ origin: head.origin, root, size }, known))
    const note = await Promise.race([signing, this.#givenUp]).catch((cause: unknown) => {
      throw new Unsigned(cause)
    })
    return { ...head, note }
  }

  /** Proves that two heads are of one history, and that the tree has both. Errors: LEDGER_CORRUPT. */
  async #prove(head: TreeHead, signed: TreeHead): Promise<void> {
    const { log } = this.#parts
    const [from, to] = signed.size <= head.size ? [signed, head] : [head, signed]
    if (to.size > log.head().size) throw inconsistent(head, signed)
    const proof = await overTiles(log, (tiles) => consistencyProof(from.size, to.size, tiles, sha256))
    const claim = { from: from.size, fromRoot: fromHex(from.root), proof, to: to.size, toRoot: fromHex(to.root) }
    if (!(await verifyConsistency(claim as ConsistencyClaim, sha256))) throw inconsistent(head, signed)
  }

  async #keepUnsigned(): Promise<void> {
    const { log, place } = this.#parts
    const { origin, ...reached } = treeHeadOf(log)
    const last = this.#last
    if (last !== undefined && isSigned(last)) await place?.write({ ...last, reached })
    // Format 1 has unsigned heads.
    else if (log.meta.format === 1) await place?.write({ origin, ...reached })
  }
}

/** The signer failed, and nothing else did. */
class Unsigned {
  readonly cause: unknown

  constructor(cause: unknown) {
    this.cause = cause
  }
}

function isSame(one: TreeHead, other: TreeHead): boolean {
  return one.origin === other.origin && one.size === other.size && one.root === other.root
}

function isSigned(head: TreeHeadFile): head is SignedHead {
  return head.note !== undefined
}

/** What is in the place; undefined if it is not a tree head, because it is replaced. */
function read(place: HeadPlace | undefined): TreeHeadFile | undefined {
  try {
    return place?.read()
  } catch {
    return undefined
  }
}

function inconsistent(head: TreeHead, signed: TreeHead): LockstepError {
  const what = `the tree of size ${head.size} does not continue the signed head of size ${signed.size}`
  return new LockstepError('LEDGER_CORRUPT', `${what}, so nothing was signed`, {
    details: { check: 'head_file', head_size: signed.size, size: head.size },
    hint: 'The database was changed. First make a copy of .lockstep, then run "lockstep verify".',
  })
}
