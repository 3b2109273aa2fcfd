import type { Api, Ledger, LedgerHere, Tiles } from './api/api.ts'
import { type BackupOptions, type WrittenBackup, writeBackup } from './backup/write-backup.ts'
import { finishClaims } from './files/deliverable/claims.ts'
import { Uploads } from './files/staging/uploads.ts'
import { WorkspaceFiles } from './files/workspace/workspace-files.ts'
import type { Config } from './kernel/config.ts'
import type { Entry } from './kernel/entry.ts'
import type { RecordedActor } from './kernel/ids.ts'
import { askFor, type InTime } from './nouns/asking.ts'
import { Audit } from './nouns/audit/audit.ts'
import { clockAheadSeconds, LedgerClock } from './nouns/clock.ts'
import { ConfigOfLedger, loadFirstConfig } from './nouns/config.ts'
import { Erasures } from './nouns/erasures/erasures.ts'
import { Purging } from './nouns/erasures/purging.ts'
import { Retention } from './nouns/erasures/retention.ts'
import { endLeftExports } from './nouns/exports/export-recovery.ts'
import { Exports } from './nouns/exports/exports.ts'
import { type Figures, figuresOf } from './nouns/figures.ts'
import { Keys, settleKeyFiles } from './nouns/keys.ts'
import { Deliverables } from './nouns/locks/deliverables.ts'
import { Locks } from './nouns/locks/locks.ts'
import { Entries, HeadOfLog } from './nouns/log.ts'
import { type AcceptedHead, recordOpening } from './nouns/opening.ts'
import { type LedgerParts, noReactions, refuseOnSnapshot } from './nouns/parts.ts'
import { PolicyOfLedger } from './nouns/policy/policy.ts'
import { Runs } from './nouns/runs/runs.ts'
import { served } from './nouns/served.ts'
import { TilesOfLog } from './nouns/tiles.ts'
import { type Authenticated, Tokens } from './nouns/tokens/tokens.ts'
import { Staging } from './nouns/turns/staging.ts'
import { Turns } from './nouns/turns/turns.ts'
import { Workspaces } from './nouns/turns/workspaces.ts'
import { type Verified, verifyLog } from './verify/verify.ts'
import { Receipts } from './views/receipts.ts'
import { SearchIndex } from './views/search-index.ts'
import { Views } from './views/views.ts'
import { codedError } from './writer/coded-errors.ts'
import { ConfigInForce } from './writer/config-in-force.ts'
import type { Core } from './writer/core.ts'
import { following } from './writer/following.ts'
import { Sequencer } from './writer/sequencer.ts'
import { StoredObjects } from './writer/stored-objects.ts'
import { Publication } from './writer/subscription.ts'
import { ledgerClosed } from './writer/unavailable.ts'

/** A ledger that this process alone has open: its operations, and the members that only this process can use. */
export class LocalLedger implements Ledger, LedgerHere {
  readonly audit: Api['audit']
  readonly clock: Api['clock']
  readonly config: Api['config']
  readonly erasures: Api['erasures']
  readonly exports: Api['exports']
  readonly head: Api['head']
  readonly keys: Api['keys']
  readonly locks: Api['locks']
  readonly log: Api['log']
  readonly policy: Api['policy']
  readonly retention: Api['retention']
  readonly runs: Api['runs']
  readonly staging: Api['staging']
  readonly tokens: Api['tokens']
  readonly turns: Api['turns']
  readonly workspaces: Api['workspaces']
  readonly tiles: Tiles
  /** The steps of `exports.create`, for a process that does not hold the ledger while the bundle is written. */
  readonly exporting: Exports
  /** Records the end of what has expired, for the service. */
  readonly expiring: { locks: Locks; retention: Retention; runs: Runs; tokens: Tokens }
  /** Proposals that callers of a service put before they stage them. */
  readonly uploads: Uploads
  /** Whether this is the ledger as of one moment. It takes no commands, and others may use the ledger meanwhile. */
  readonly isSnapshot: boolean
  /** Takes in what other nodes have appended. The writer of a ledger has it already. */
  readonly follow: () => Promise<void>
  /** What the commands came to since open. */
  readonly tally: Sequencer['tally']
  /** The root: the folder that the ledger governs. */
  readonly dir: string
  /** The default actor of every call. */
  readonly actor: RecordedActor
  readonly #parts: LedgerParts
  readonly #core: Core
  readonly #publication = new Publication()
  readonly #reactions: Purging
  readonly #sequencer: Sequencer
  #closed: Promise<void> | undefined

  constructor(parts: LedgerParts) {
    const { actor, config, forked, layout, log, newLockId, newRunId, now, workspaceFiles } = parts
    this.isSnapshot = parts.isSnapshot ?? false
    this.dir = layout.root
    this.actor = actor
    this.#parts = parts
    const read = { receipts: new Receipts(log), views: new Views(log) }
    const published = (entries: readonly Entry[]) => this.#published(entries)
    const cursors = () => this.#reactions.cursors()
    this.#sequencer = new Sequencer({ ...read, ...{ config, cursors, forked, log, now, published } })
    this.follow = this.isSnapshot ? following({ ...read, log, published }) : async () => {}
    this.tally = this.#sequencer.tally
    this.uploads = new Uploads(layout.uploads, () => config.settings().turn_limits)
    this.#core = {
      ...read,
      ...{ actor, layout, log, newLockId, newRunId, now, workspaceFiles },
      get config() {
        return config.settings()
      },
      index: new SearchIndex(log),
      stored: new StoredObjects(log),
      uploads: this.uploads,
      submit: (submission) => (parts.isSnapshot ? refuseOnSnapshot() : this.#sequencer.submit(submission)),
      waiters: this.#sequencer.waiters,
      poke: (stream) => this.#sequencer.poke(stream),
      filesDrained: () => this.#reactions.drained(),
      purge: () => this.#reactions.finish(),
    }
    const [deliverables, policy] = [new Deliverables(this.#core), new PolicyOfLedger(this.#core)]
    const { assertNotSealed } = parts.seal
    const ground = { actor, assertNotSealed, assertOpen: () => this.#assertOpen(), root: layout.root }
    const locks = new Locks(this.#core, deliverables)
    const retention = new Retention(this.#core, config)
    this.expiring = { locks, retention, runs: new Runs(this.#core, policy), tokens: new Tokens(this.#core) }
    this.audit = served('audit', new Audit(this.#core, policy), ground)
    this.clock = served('clock', new LedgerClock(this.#core), ground)
    this.config = served('config', new ConfigOfLedger(this.#core, { config, policy }), ground)
    this.erasures = served('erasures', new Erasures(this.#core), ground)
    this.head = served('head', new HeadOfLog(parts), ground)
    this.keys = served('keys', new Keys(this.#core), ground)
    this.tiles = new TilesOfLog(log, this.head)
    this.locks = served('locks', this.expiring.locks, ground)
    const whole = { backUp: (input: BackupOptions) => this.backUp(input), verify: () => this.#verify() }
    this.log = served('log', new Entries(this.#core, this.#publication, whole), ground)
    this.policy = served('policy', policy, ground)
    this.retention = served('retention', retention, ground)
    this.runs = served('runs', this.expiring.runs, ground)
    this.staging = served('staging', new Staging(this.#core), ground)
    this.tokens = served('tokens', this.expiring.tokens, ground)
    this.turns = served('turns', new Turns(this.#core, policy), ground)
    this.workspaces = served('workspaces', new Workspaces(this.#core, policy), ground)
    this.exporting = new Exports(this.#core, policy, this)
    this.exports = served('exports', this.exporting, ground)
    this.#reactions = new Purging(this.#core, parts.reactions(this.#core, deliverables))
  }

  /** The configuration in force. */
  get settings(): Config {
    return this.#core.config
  }

  /** Finishes what the last process left: interrupted claims and exports, files that follow the log. Once, at open. */
  async recover(accepted?: AcceptedHead): Promise<void> {
    await recordOpening(this.#core, accepted)
    await this.#core.stored.collect()
    await loadFirstConfig(this.#core, this.#parts.config)
    await settleKeyFiles(this.#core.log, this.#core.layout)
    await finishClaims(this.#core, this.#parts.actor)
    await endLeftExports(this.#core, this.runs)
    await this.#reactions.recover()
    await this.#reactions.drained()
  }

  /** Exact numbers of batches, entries and puts since open. */
  get counts(): { batches: number; entries: number; puts: number } {
    return { ...this.#parts.log.counts }
  }

  /** What an operator watches. Cost: one read at first use. */
  figures(): Promise<Figures> {
    return figuresOf(this.#core, { cursors: this.#reactions.cursors(), writer: this.#sequencer.figures })
  }

  /** Whole seconds that the last entry's time is ahead of the wall clock, if more than one hour. Cost: one read. */
  clockAheadSeconds(): Promise<number | undefined> {
    return clockAheadSeconds(this.#core)
  }

  /** Whom a bearer token names; undefined if it is not valid. Errors: those of any query. Cost: usually no read. */
  async authenticate(token: string): Promise<Authenticated | undefined> {
    this.#assertOpen()
    return this.expiring.tokens.authenticate(token)
  }

  /** Runs a read-only query with a time limit, for a process that holds the ledger for a moment. Snapshots need none. */
  async askFor<T>(millis: number, question: (ledger: LocalLedger) => Promise<T>): Promise<InTime<T>> {
    this.#assertOpen()
    return this.isSnapshot ? { answer: await question(this) } : askFor(this.#core.index, millis, () => question(this))
  }

  /**
   * The ledger as it is now, for reading while others use it (ADR 0032). It takes no commands. The caller closes it.
   * Errors: DISK_FULL, FILE_DENIED, FILE_FAILED, LEDGER_UNAVAILABLE. Cost: one hard link per table.
   */
  async snapshot(): Promise<LocalLedger> {
    this.#assertOpen()
    const { layout } = this.#parts
    const log = await this.#parts.log.copy()
    const config = new ConfigInForce(this.settings, this.#parts.config.current)
    const workspaceFiles = new WorkspaceFiles(layout.root, config.settings, log)
    return new LocalLedger({ ...this.#parts, config, isSnapshot: true, log, reactions: noReactions, workspaceFiles })
  }

  /** Writes a verified backup (ADR 0049). A snapshot can only be closed afterwards. Errors and cost: `writeBackup`. */
  async backUp(options: BackupOptions): Promise<WrittenBackup> {
    this.#assertOpen()
    return this.#reactions.finish().then(() => writeBackup(this.#parts, options))
  }

  /** Answers pending commands, makes everything durable, and closes the ledger. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close().catch((error: unknown) => {
      throw codedError(error, 'closing the ledger')
    })
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

  async #verify(): Promise<Verified> {
    await this.#sequencer.settled()
    await this.#reactions.drained()
    return verifyLog(this.#parts.log, this.#parts.layout, this.settings)
  }

  #published(entries: readonly Entry[]): void {
    this.tally.published(entries)
    const { config, seal, sharedTime } = this.#parts
    for (const follower of [config, seal, sharedTime]) follower?.published(entries)
    this.#publication.announce()
    this.#reactions.published(entries)
    this.#core.index.published()
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw ledgerClosed()
    this.#parts.log.custody?.assertNotMoved()
  }
}
