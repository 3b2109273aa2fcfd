import { LockstepError } from './errors.ts'
import { finishClaims } from './files/deliverable/claims.ts'
import { WorkspaceFiles } from './files/workspace/workspace-files.ts'
import type { Config } from './kernel/config.ts'
import type { Entry } from './kernel/entry.ts'
import { entryAt } from './log/tiles.ts'
import { toHex } from './merkle/hash.ts'
import { askFor, type InTime } from './nouns/asking.ts'
import { Audit } from './nouns/audit/audit.ts'
import { LedgerClock } from './nouns/clock.ts'
import { endLeftExports } from './nouns/exports/export-recovery.ts'
import { Exports } from './nouns/exports/exports.ts'
import { Locks } from './nouns/locks/locks.ts'
import { type LedgerParts, noReactions, type Reactions, refuseOnSnapshot } from './nouns/parts.ts'
import { PolicyApi } from './nouns/policy/policy.ts'
import {
  type ConsistencyProof,
  consistencyOf,
  type EntryProof,
  proofOf,
  type SignedHead,
  signedHeadOf,
  type TreeHead,
} from './nouns/proving.ts'
import { Runs } from './nouns/runs/runs.ts'
import { isSeq, notFound } from './nouns/seq.ts'
import { Staging } from './nouns/turns/staging.ts'
import { Turns } from './nouns/turns/turns.ts'
import { Workspaces } from './nouns/turns/workspaces.ts'
import { type Progress, type Verified, verifyLog } from './verify/verify.ts'
import { Receipts } from './views/receipts.ts'
import { SearchIndex } from './views/search-index.ts'
import { Views } from './views/views.ts'
import type { Core } from './writer/core.ts'
import { Sequencer } from './writer/sequencer.ts'
import { StoredObjects } from './writer/stored-objects.ts'
import { Publication, type ReadRequest, read, type SubscribeRequest, subscribe } from './writer/subscription.ts'

/**
 * An open ledger. Its states are opening, open, closing and closed. Once `close` was called, every other call fails
 * with LEDGER_CLOSED. Only one process has a ledger open at a time.
 */
export class Ledger implements AsyncDisposable {
  readonly locks: Locks
  readonly audit: Audit
  readonly clock: LedgerClock
  readonly policy: PolicyApi
  readonly runs: Runs
  readonly exports: Exports
  readonly staging: Staging
  readonly turns: Turns
  readonly workspaces: Workspaces
  readonly #parts: LedgerParts
  readonly #core: Core
  readonly #publication = new Publication()
  readonly #reactions: Reactions
  readonly #sequencer: Sequencer
  #closed: Promise<void> | undefined

  constructor(parts: LedgerParts) {
    const { actor, config, layout, log, newLockId, newRunId, now, workspaceFiles } = parts
    this.#parts = parts
    const read = { receipts: new Receipts(log), views: new Views(log) }
    this.#sequencer = new Sequencer({
      ...read,
      log,
      config,
      now,
      cursors: () => this.#reactions.cursors(),
      published: (entries) => this.#published(entries),
    })
    const given = { actor, config, layout, log, newLockId, newRunId, now, workspaceFiles }
    this.#core = {
      ...read,
      ...given,
      index: new SearchIndex(log),
      stored: new StoredObjects(log),
      submit: (submission) => (parts.isSnapshot ? refuseOnSnapshot() : this.#sequencer.submit(submission)),
      waiters: this.#sequencer.waiters,
      poke: (stream) => this.#sequencer.poke(stream),
      filesDrained: () => this.#reactions.drained(),
    }
    this.locks = new Locks(this.#core)
    this.clock = new LedgerClock(this.#core)
    this.policy = new PolicyApi(this.#core)
    this.audit = new Audit(this.#core, this.policy)
    this.runs = new Runs(this.#core, this.policy)
    this.exports = new Exports(this.#core, { audit: this.audit, policy: this.policy, runs: this.runs })
    this.turns = new Turns(this.#core, this.policy)
    this.workspaces = new Workspaces(this.#core)
    this.staging = new Staging(this.#core)
    this.#reactions = parts.reactions(this)
  }

  /**
   * Finishes the steps that the last process left: interrupted claims and exports, and files that follow the log.
   * Called once, at open.
   */
  async recover(): Promise<void> {
    await this.#core.stored.collect()
    await finishClaims(this.#core, this.#parts.actor)
    await endLeftExports(this.#core, this.runs)
    await this.#reactions.drained()
  }

  get dir(): string {
    return this.#parts.layout.root
  }

  get config(): Config {
    return this.#parts.config
  }

  /** Exact numbers of batches, entries and puts since open. */
  get counts(): { batches: number; entries: number; puts: number } {
    return { ...this.#parts.log.counts }
  }

  /** The published tree head. */
  head(): TreeHead {
    this.#assertOpen()
    return this.#treeHead()
  }

  /**
   * The tree head as a C2SP checkpoint (a signed note), with the key line that verifies it.
   * Errors: LEDGER_CORRUPT (not the key that entry 0 names), FILE_DENIED, NOT_FOUND (no key), INVALID_INPUT.
   */
  async signedHead(size?: number): Promise<SignedHead> {
    this.#assertOpen()
    return signedHeadOf(this.#parts, size)
  }

  /**
   * A proof that an entry is in the tree of a size. Default: the whole tree. `lockstep/verify` checks such proofs
   * offline. Errors: NOT_FOUND past the end, INVALID_INPUT.
   */
  async prove(seq: number, size?: number): Promise<EntryProof> {
    this.#assertOpen()
    return proofOf(this.#parts, seq, size)
  }

  /** A proof that the tree of `to` entries begins with the tree of `from` entries. Errors: INVALID_INPUT, NOT_FOUND. */
  async consistency(from: number, to?: number): Promise<ConsistencyProof> {
    this.#assertOpen()
    return consistencyOf(this.#parts, from, to)
  }

  /** The entry at a seq. Errors: NOT_FOUND. */
  async entry(seq: number): Promise<Entry> {
    const { size } = this.head()
    const entry = isSeq(seq) ? await entryAt(this.#parts.log, seq) : undefined
    if (entry === undefined) throw notFound(seq, size)
    return entry
  }

  /**
   * Entries from `from` up to but excluding `to`, among those published at the time of the call. Errors:
   * INVALID_INPUT.
   */
  read(request: ReadRequest = {}): AsyncGenerator<Entry> {
    this.#assertOpen()
    return read(this.#parts.log, request)
  }

  /**
   * An endless stream of entries from a seq on, at the reader's pace. Default: from the next entry. It never skips or
   * repeats an entry. It ends on abort, and on close after all entries were read. Errors: INVALID_INPUT,
   * LEDGER_CLOSED (closed before all entries were read).
   */
  subscribe(request: SubscribeRequest = {}): AsyncGenerator<Entry> {
    this.#assertOpen()
    return subscribe(this.#parts.log, this.#publication, request)
  }

  /** Reads and derives everything again, and compares. Errors: VERIFY_FAILED with the first bad seq. */
  async verify(onProgress?: (progress: Progress) => void): Promise<Verified> {
    this.#assertOpen()
    const { config, layout, log } = this.#parts
    await this.#sequencer.settled()
    await this.#reactions.drained()
    return verifyLog(log, layout, config, { onProgress })
  }

  /** Runs a read-only query with a time limit, for a process that holds the ledger only for a moment. */
  askFor<T>(millis: number, question: (ledger: Ledger) => Promise<T>): Promise<InTime<T>> {
    this.#assertOpen()
    return askFor(this.#core.index, millis, () => question(this))
  }

  /**
   * The ledger as it is now, for reading while others use the ledger (ADR 0032). It takes no commands, and the caller
   * must close it. Errors: DISK_FULL, FILE_DENIED, FILE_FAILED, LEDGER_UNAVAILABLE. Cost: one hard link per table of
   * the database.
   */
  async snapshot(): Promise<Ledger> {
    this.#assertOpen()
    const { config, layout } = this.#parts
    const log = await this.#parts.log.copy()
    const workspaceFiles = new WorkspaceFiles(layout.root, config, log)
    return new Ledger({ ...this.#parts, isSnapshot: true, log, reactions: noReactions, workspaceFiles })
  }

  /** Answers pending commands, makes the head and files durable, and closes the ledger. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    try {
      await this.#sequencer.close()
      this.#publication.end()
      await this.#core.index.close()
      await this.#reactions.drained()
    } finally {
      await this.#parts.log.close()
    }
  }

  #treeHead(): TreeHead {
    const { log } = this.#parts
    return { origin: log.meta.origin, size: log.head().size, root: toHex(log.head().root) }
  }

  #published(entries: readonly Entry[]): void {
    this.#publication.announce()
    this.#reactions.published(entries)
    this.#core.index.published()
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new LockstepError('LEDGER_CLOSED', 'the ledger was closed')
    this.#parts.log.custody?.assertNotMoved()
  }
}
