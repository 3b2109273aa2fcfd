import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { syncFolder } from '../../../disk/durable.ts'
import type { Layout } from '../../../disk/layout.ts'
import { readTextFile } from '../../../disk/regular-file.ts'
import { LockstepError } from '../../../errors.ts'
import { limits } from '../../../kernel/limits.ts'
import { corrupt } from '../../corrupt.ts'
import { isGrown, isSame, isYoung, LogLost, newestLog, numberOf, problemOf } from '../seen-files.ts'
import type { FileStore } from '../store.ts'
import type { Guard } from './guard.ts'
import { readOwner } from './owner.ts'

/** The files from which LevelDB finds all others. */
interface Files {
  current: string
  manifest: Stats
  logName: string
  log: Stats
}

/** The state that one look records. Two looks with the same state mean that nothing happened in between. */
interface Seen {
  home: Stats
  ledger: Stats
  owner: Stats | undefined
  log: Stats
}

/** If the next batch follows within this time, the previous look is recent enough. */
const freshMillis = 1

export interface CustodyParts {
  layout: Layout
  /** Released together with the custody. */
  guard: Guard
  /** The nonce that this process wrote to the owner file. */
  nonce: string
  /** Whether this process could write the owner file. If not, the file must not change. */
  isNamed: boolean
  store: Pick<FileStore, 'flush' | 'tables'>
}

/**
 * Guards the ledger that this process has open. It holds the guard that keeps other processes out, and can tell whether
 * the ledger at the path is still the opened one. Each write checks this twice: before the write, so that nothing is
 * written to a replacement, and before the write is reported as durable.
 *
 * States: in place; moved; released. Moved is final for this handle, even if the ledger is put back.
 *
 * A look costs four calls of stat: the home folder, the database folder, the owner file and LevelDB's newest log. Only
 * if one of them changed, the files are listed. Then CURRENT, its MANIFEST, the newest log and every table in use must
 * be unchanged or have grown. The owner file must contain our nonce. LevelDB does not sync the folder when it starts a
 * new log. Custody does so before the first write to that log is acknowledged (ADR 0027).
 */
export class Custody {
  readonly #parts: CustodyParts
  readonly #layout: Layout
  #files: Files
  #seen: Seen
  #isRacy = true
  #problem: unknown
  #lookedAt = Number.NEGATIVE_INFINITY

  /** Errors: LEDGER_MOVED if the ledger was moved while it was being opened. Cost: a sync of the folder. */
  constructor(parts: CustodyParts) {
    this.#parts = parts
    this.#layout = parts.layout
    try {
      if (!parts.guard.isInPlace()) throw new Error('its folder was replaced while it was being opened')
      this.#files = this.#filesNow()
      this.#seen = this.#look()
      this.#examineOwner(this.#seen.owner)
      syncFolder(this.#layout.ledger)
    } catch (error) {
      // Access denied by Node's permission model does not mean that the ledger was moved.
      if (error instanceof LockstepError && error.code === 'FILE_DENIED') throw error
      this.#problem = error
      throw this.#moved('not_applied')
    }
  }

  /** Call before a write, or before an answer that needs no write. Errors: LEDGER_MOVED. */
  assertBefore(): void {
    const isFresh = performance.now() - this.#lookedAt < freshMillis && this.#problem === undefined
    if (!isFresh && !this.isInPlace()) throw this.#moved('not_applied')
  }

  /** Call after a write, before its result is reported. Errors: LEDGER_MOVED; the outcome of the write is unknown. */
  assertAfter(): void {
    if (!this.isInPlace()) throw this.#moved('unknown')
  }

  /** Throws if an earlier look found that the ledger was moved. It does not look again. Errors: LEDGER_MOVED. */
  assertNotMoved(): void {
    if (this.#problem !== undefined) throw this.#moved('not_applied')
  }

  /** Called before an error is passed on that a move may have caused. Errors: LEDGER_MOVED. */
  assertInPlace(): void {
    if (!this.isInPlace()) throw this.#moved('not_applied')
  }

  /** Whether the ledger at the path is the one that was opened. If so, files beside the database may be written. */
  isOurs(): boolean {
    return this.isInPlace() || this.isLogLost
  }

  /**
   * Whether LevelDB's log was deleted, replaced or truncated, and nothing else is wrong. The owner file has our nonce, so
   * the ledger at the path is still this one, and LevelDB still holds the content of the log in memory.
   */
  get isLogLost(): boolean {
    return this.#problem instanceof LogLost
  }

  /** Whether the ledger is still in its place. Cost: four calls of stat, and a listing if something changed. */
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

  /** LevelDB may have started or removed a log between two calls. Only a problem that appears twice counts. */
  #isInPlaceAfterAll(): boolean {
    try {
      this.#examine()
      return true
    } catch (error) {
      this.#problem = error
      return false
    }
  }

  /** Saves the data that only LevelDB's memory still holds because its log was lost. */
  saveMemory(): Promise<void> {
    return this.#parts.store.flush()
  }

  /** Lets other processes open the ledger. */
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

  /** Checks everything and remembers the state for the next look. Throws if something is wrong. */
  #examine(): void {
    const { home, ledger, owner } = this.#layout
    const now = { home: lstatSync(home), ledger: statSync(ledger), owner: lstatSync(owner, { throwIfNoEntry: false }) }
    if (!isSame(now.home, this.#seen.home)) throw new Error(`${home} is now a different folder`)
    if (!isSame(now.ledger, this.#seen.ledger)) throw new Error(`${ledger} is now a different folder`)
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
    throw new Error(
      now === undefined ? `${path} no longer exists` : `${path} was replaced: another process may have opened it`,
    )
  }

  #filesNow(): Files {
    const { ledger } = this.#layout
    const current = readTextFile(join(ledger, 'CURRENT'), limits.currentFileBytes, (is) => corrupt(`CURRENT ${is}`))
    if (current === undefined) throw new Error('CURRENT no longer exists')
    const manifest = lstatSync(join(ledger, current.trim()))
    const logName = newestLog(readdirSync(ledger))
    return { current, logName, log: lstatSync(join(ledger, logName)), manifest }
  }

  #compare(now: Files): void {
    const { current, log, logName, manifest } = this.#files
    if (now.current !== current) throw new Error('CURRENT was replaced')
    if (!isGrown(now.manifest, manifest)) throw new Error(`${current.trim()} was replaced or truncated`)
    const newest = now.logName === logName ? this.#seen.log : log
    const isOlder = numberOf(now.logName) < numberOf(logName)
    if (isOlder) throw new LogLost(`${logName} no longer exists`)
    if (now.logName === logName && !isGrown(now.log, newest)) throw new LogLost(`${logName} was replaced or truncated`)
  }

  #examineTables(): void {
    const isMissing = (name: string) =>
      lstatSync(join(this.#layout.ledger, name), { throwIfNoEntry: false }) === undefined
    const missing = this.#parts.store.tables().filter(isMissing)
    if (missing.length === 0) return
    // A table that a compaction replaced in the meantime is no longer in use.
    const used = new Set(this.#parts.store.tables())
    const lost = missing.find((name) => used.has(name))
    if (lost !== undefined) throw new Error(`${lost} no longer exists`)
  }

  #moved(outcome: 'not_applied' | 'unknown'): LockstepError {
    const what = `the ledger in ${this.#layout.home} is not the one that was opened`
    return new LockstepError('LEDGER_MOVED', `${what}: ${problemOf(this.#problem)}`, {
      details: { outcome },
      hint: 'Close this handle and open the ledger again to find out what was written. Always close a ledger before you move, delete or restore it.',
    })
  }
}
