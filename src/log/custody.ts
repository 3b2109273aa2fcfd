import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { limits } from '../core/limits.ts'
import { LockstepError } from '../errors.ts'
import { syncFolder } from '../fs/durable.ts'
import type { Guard } from '../fs/guard.ts'
import type { Layout } from '../fs/layout.ts'
import { readOwner } from '../fs/owner.ts'
import { readTextFile } from '../fs/regular-file.ts'
import { corrupt } from './corrupt.ts'
import { isGrown, isSame, isYoung, LogLost, newestLog, numberOf, problemOf } from './seen-files.ts'
import type { FileStore } from './store.ts'

/** The files by which LevelDB finds everything else. */
interface Files {
  current: string
  manifest: Stats
  logName: string
  log: Stats
}

/** As two looks find it when nothing happened in between. */
interface Seen {
  home: Stats
  ledger: Stats
  owner: Stats | undefined
  log: Stats
}

/** Where one batch soon follows another, the look after the first will do for the second. */
const freshMillis = 1

export interface CustodyParts {
  layout: Layout
  /** Released with the custody. */
  guard: Guard
  /** The nonce that this process wrote into the owner file. */
  nonce: string
  /** Whether it could write that file; where it could not, it must stay as it is. */
  isNamed: boolean
  store: Pick<FileStore, 'saveMemory' | 'tables'>
}

/**
 * What a process holds of the ledger that it has open: the guard that keeps others out, and the means to tell whether
 * the ledger in its place is still the one that was opened. That is asked before each write, so that nothing goes into
 * a ledger that took its place, and again before anyone is told that the write is durable. States: in place; moved,
 * which is final for this handle, whatever is put back; released.
 *
 * A look is four calls of stat: the home folder, the folder of the database, the owner file and LevelDB's newest log.
 * Only where they changed are the files listed: CURRENT, the MANIFEST it names, the newest log and every table in use
 * must be the same or must have grown, and the owner file must carry our nonce. LevelDB does not sync the folder when it
 * begins a new log, so that is done here, before the first write to that log is acknowledged (ADR 0027).
 */
export class Custody {
  readonly #parts: CustodyParts
  readonly #layout: Layout
  #files: Files
  #seen: Seen
  #isRacy = true
  #problem: unknown
  #lookedAt = Number.NEGATIVE_INFINITY

  /** Errors: LEDGER_MOVED where the ledger was moved while it was opened. Cost: a sync of the folder. */
  constructor(parts: CustodyParts) {
    this.#parts = parts
    this.#layout = parts.layout
    try {
      if (!parts.guard.isInPlace()) throw new Error('its folder was replaced while it was opened')
      this.#files = this.#filesNow()
      this.#seen = this.#look()
      this.#examineOwner(this.#seen.owner)
      syncFolder(this.#layout.ledger)
    } catch (error) {
      // What Node does not let us do says nothing of where the ledger is.
      if (error instanceof LockstepError && error.code === 'FILE_DENIED') throw error
      this.#problem = error
      throw this.#moved('not_applied')
    }
  }

  /** Before a write or an answer without one. Errors: LEDGER_MOVED. */
  assertBefore(): void {
    const isFresh = performance.now() - this.#lookedAt < freshMillis && this.#problem === undefined
    if (!isFresh && !this.isInPlace()) throw this.#moved('not_applied')
  }

  /** After a write, before anyone is told of it. Errors: LEDGER_MOVED; what was written is unknown. */
  assertAfter(): void {
    if (!this.isInPlace()) throw this.#moved('unknown')
  }

  /** Throws where an earlier look found that the ledger was moved. Cost: none. */
  assertNotMoved(): void {
    if (this.#problem !== undefined) throw this.#moved('not_applied')
  }

  /** Before an error that a move may have caused is passed on. Errors: LEDGER_MOVED. */
  assertInPlace(): void {
    if (!this.isInPlace()) throw this.#moved('not_applied')
  }

  /** Whether the ledger in its place is the one that was opened, so that files beside the database may be written. */
  isOurs(): boolean {
    return this.isInPlace() || this.isLogLost
  }

  /**
   * Whether nothing is wrong but that LevelDB's log was deleted, replaced or cut: the owner file still has our nonce, so
   * the ledger in its place is still this one, and LevelDB still has in memory what the log had.
   */
  get isLogLost(): boolean {
    return this.#problem instanceof LogLost
  }

  /** Whether it is still in its place. Cost: four calls of stat, and a listing where something changed. */
  isInPlace(): boolean {
    if (this.#problem !== undefined) return false
    this.#lookedAt = performance.now()
    try {
      const now = this.#look()
      if (this.#isRacy || !this.#isUnchanged(now)) this.#examine()
      else this.#seen.log = now.log
      return true
    } catch {
      return this.#isInPlaceAfterAll()
    }
  }

  /** LevelDB may have begun a log, or removed one, between two calls: what is wrong twice is wrong. */
  #isInPlaceAfterAll(): boolean {
    try {
      this.#examine()
      return true
    } catch (error) {
      this.#problem = error
      return false
    }
  }

  /** Saves what LevelDB has in memory only, for its log was lost. */
  saveMemory(): Promise<void> {
    return this.#parts.store.saveMemory()
  }

  /** Lets others have the ledger. */
  release(): void {
    this.#parts.guard.release()
  }

  #look(): Seen {
    const { home, ledger, owner } = this.#layout
    return {
      home: lstatSync(home),
      ledger: statSync(ledger),
      owner: lstatSync(owner, { throwIfNoEntry: false }),
      log: lstatSync(join(ledger, this.#files.logName)),
    }
  }

  #isUnchanged({ home, ledger, log, owner }: Seen): boolean {
    const seen = this.#seen
    return (
      isSame(home, seen.home) &&
      isSame(ledger, seen.ledger) &&
      ledger.ctimeMs === seen.ledger.ctimeMs &&
      owner?.ctimeMs === seen.owner?.ctimeMs &&
      owner?.ino === seen.owner?.ino &&
      isGrown(log, seen.log)
    )
  }

  /** Looks at everything, and keeps what it found for the next time. Throws what is wrong. */
  #examine(): void {
    const { home, ledger, owner } = this.#layout
    const now = { home: lstatSync(home), ledger: statSync(ledger), owner: lstatSync(owner, { throwIfNoEntry: false }) }
    if (!isSame(now.home, this.#seen.home)) throw new Error(`${home} is another folder now`)
    if (!isSame(now.ledger, this.#seen.ledger)) throw new Error(`${ledger} is another folder now`)
    this.#examineOwner(now.owner)
    const files = this.#filesNow()
    this.#compare(files)
    this.#examineTables()
    if (files.logName !== this.#files.logName) syncFolder(ledger)
    this.#files = files
    this.#seen = { ...now, log: files.log }
    this.#isRacy = isYoung(now.ledger) || (now.owner !== undefined && isYoung(now.owner))
  }

  #examineOwner(now: Stats | undefined): void {
    const { isNamed, nonce } = this.#parts
    const path = this.#layout.owner
    const owner = isNamed ? readOwner(path) : undefined
    const { owner: before } = this.#seen
    const isOurs = isNamed
      ? owner?.state === 'open' && owner.nonce === nonce
      : now?.ino === before?.ino && now?.ctimeMs === before?.ctimeMs
    if (isOurs) return
    throw new Error(now === undefined ? `${path} is gone` : `${path} was replaced: another process may have opened it`)
  }

  #filesNow(): Files {
    const { ledger } = this.#layout
    const current = readTextFile(join(ledger, 'CURRENT'), limits.currentFileBytes, (is) => corrupt(`CURRENT ${is}`))
    if (current === undefined) throw new Error('CURRENT is gone')
    const manifest = lstatSync(join(ledger, current.trim()))
    const logName = newestLog(readdirSync(ledger))
    return { current, logName, log: lstatSync(join(ledger, logName)), manifest }
  }

  #compare(now: Files): void {
    const { current, log, logName, manifest } = this.#files
    if (now.current !== current) throw new Error('CURRENT was replaced')
    if (!isGrown(now.manifest, manifest)) throw new Error(`${current.trim()} was replaced or cut`)
    const newest = now.logName === logName ? this.#seen.log : log
    const isOlder = numberOf(now.logName) < numberOf(logName)
    if (isOlder) throw new LogLost(`${logName} is gone`)
    if (now.logName === logName && !isGrown(now.log, newest)) throw new LogLost(`${logName} was replaced or cut`)
  }

  #examineTables(): void {
    const isMissing = (name: string) =>
      lstatSync(join(this.#layout.ledger, name), { throwIfNoEntry: false }) === undefined
    const missing = this.#parts.store.tables().filter(isMissing)
    if (missing.length === 0) return
    // A table that was compacted meanwhile is not used any more.
    const used = new Set(this.#parts.store.tables())
    const lost = missing.find((name) => used.has(name))
    if (lost !== undefined) throw new Error(`${lost} is gone`)
  }

  #moved(outcome: 'not_applied' | 'unknown'): LockstepError {
    const what = `the ledger in ${this.#layout.home} is not the one that was opened`
    return new LockstepError('LEDGER_MOVED', `${what}: ${problemOf(this.#problem)}`, {
      details: { outcome },
      hint: 'Close this handle and open the ledger again: that decides what was written. Close a ledger before it is moved, deleted or restored.',
    })
  }
}
