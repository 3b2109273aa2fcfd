import { closeSync, constants, openSync, statSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { fileError, isAbsence } from '../../../disk/durable.ts'
import { type Layout, noLedger } from '../../../disk/layout.ts'
import { canNameDescriptors } from '../../../disk/open-folder.ts'
import { systemCodeOf } from '../../../errors.ts'
import { GuardName } from './guard-name.ts'
import { isKnownAlive, isKnownGone, readOwner } from './owner.ts'
import { answerAsked, isAnswered } from './owner-asking.ts'

/**
 * Excludes other processes, in addition to LevelDB's own lock. Any code in the owning process can drop that lock just
 * by reading its file. The guard is taken before the database is touched, and held until after it is closed (ADR 0026).
 * It consists of:
 *
 * - a map in the process, which two installations of the package share;
 * - on Linux a socket name without a file, on macOS a locked file: the kernel gives either to only one process, and
 *   frees it when that process dies;
 * - a file with which the owner in `.lockstep/owner` is asked, unless that owner is known to be gone. This covers cases
 *   that the kernel cannot see, such as two containers.
 *
 * The guard also keeps the database folder open, so that LevelDB never writes to another folder that took its place.
 */
export class Guard {
  readonly #layout: Layout
  readonly #place: Place
  readonly #kernel: Kernel
  readonly #folder: number | undefined
  readonly #stopAnswering: () => void

  private constructor(layout: Layout, place: Place, kernel: Kernel) {
    this.#layout = layout
    this.#place = place
    this.#kernel = kernel
    this.#folder = openFolder(layout.ledger)
    this.#stopAnswering = answerAsked(layout.asked, () => this.isInPlace())
  }

  /**
   * Takes the guard without waiting. Returns undefined if another process has it. Errors: NO_LEDGER if the ledger was
   * moved away after it was found; those of the system.
   */
  static async take(layout: Layout): Promise<Guard | undefined> {
    const place = placeOf(layout)
    if (place === undefined) throw noLedger(layout.root)
    const ledgers = openLedgers()
    const open = ledgers.get(place.key)
    if (open !== undefined) {
      open.asked += 1
      return undefined
    }
    const entry = { asked: 0 }
    ledgers.set(place.key, entry)
    let kernel: Kernel | undefined
    try {
      kernel = await takeKernel(layout, place, () => {
        entry.asked += 1
      })
      if (kernel !== undefined && !(await isHeldElsewhere(layout, place, kernel))) {
        return new Guard(layout, place, kernel)
      }
    } catch (error) {
      release(place, kernel)
      throw error
    }
    release(place, kernel)
    return undefined
  }

  /** What excludes other processes here, in addition to the process map, the asking and LevelDB's lock. */
  get exclusion(): Kernel['kind'] {
    return this.#kernel.kind
  }

  /** The facts about this guard for the owner file. */
  get here(): { folder: string; holdsName: boolean } {
    return hereOf(this.#place, this.#kernel)
  }

  /** The path for opening the database. On Linux it names the open folder itself, even if that is moved. */
  get ledger(): string {
    const isPinned = this.#folder !== undefined && canNameDescriptors
    return isPinned ? `/proc/self/fd/${this.#folder}` : this.#layout.ledger
  }

  /** Whether the folder at the path is the one that is guarded. */
  isInPlace(): boolean {
    return placeOf(this.#layout)?.key === this.#place.key
  }

  release(): void {
    this.#stopAnswering()
    release(this.#place, this.#kernel)
    try {
      if (this.#folder !== undefined) closeSync(this.#folder)
    } catch {
      // Nothing was written to the file, and it is closed even if the system reports an error.
    }
  }
}

/** The database folder by device and inode, which are the same on every path to it. */
interface Place {
  key: string
  folder: string
  /** The user who owns the folder. */
  owner: number
}

/**
 * What the kernel provided: a name, a locked file, or nothing. A process that does not know the key may hold the name.
 */
interface Kernel {
  kind: 'file' | 'name' | 'none' | 'stranger'
  /** The holder of the name did not answer, so its owner is asked through the file. */
  isSilent: boolean
  release: () => void
}

const nothing = { isSilent: false, release: () => {} }

/** Undefined if another process of this ledger holds it. */
async function takeKernel(layout: Layout, place: Place, asked: () => void): Promise<Kernel | undefined> {
  if (process.platform === 'darwin') return lockFile(layout.guard)
  const name = GuardName.of(layout.key, place.key, asked)
  if (name === undefined) return { kind: 'none', ...nothing }
  const taken = await name.take()
  if (taken === 'taken') return { kind: 'name', isSilent: false, release: () => name.release() }
  if (taken === 'impossible') return { kind: 'none', ...nothing }
  const holder = await name.holder(place.owner)
  // If the holder has just released the name, the next attempt can take it.
  if (holder === 'owner' || holder === 'nobody') return undefined
  return { kind: 'stranger', ...nothing, isSilent: holder === 'no answer' }
}

/** Whether the process in the owner file has the ledger, in cases that the kernel's answer does not settle. */
async function isHeldElsewhere(layout: Layout, place: Place, kernel: Kernel): Promise<boolean> {
  const owner = readOwner(layout.owner)
  const isOpen = owner?.state === 'open'
  if (kernel.kind === 'file') return false
  if (kernel.isSilent && isOpen && isKnownAlive(owner)) return true
  const isInDoubt = kernel.isSilent || (isOpen && !isKnownGone(owner, hereOf(place, kernel)))
  if (!isInDoubt) return false
  // A new owner that appeared in the meantime could not answer. The next attempt asks it.
  return (await isAnswered(layout.asked)) || !isDeepStrictEqual(readOwner(layout.owner), owner)
}

function hereOf({ folder }: Place, { kind }: Kernel): { folder: string; holdsName: boolean } {
  return { folder, holdsName: kind === 'name' }
}

const exclusiveLock = 0x20

/**
 * Locks an open file as flock(2) does. Unlike LevelDB's lock, reading the file elsewhere does not drop it. macOS can
 * take it while opening the file.
 */
function lockFile(path: string): Kernel | undefined {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOFOLLOW | exclusiveLock
  try {
    const descriptor = openSync(path, flags, 0o600)
    return { kind: 'file', isSilent: false, release: () => closeSync(descriptor) }
  } catch (error) {
    const code = systemCodeOf(error) ?? ''
    if (['EAGAIN', 'EWOULDBLOCK'].includes(code)) return undefined
    if (['ENOTSUP', 'EOPNOTSUPP', 'EINVAL'].includes(code)) return { kind: 'none', ...nothing }
    throw fileError(error, `locking ${path}`)
  }
}

function release({ key }: Place, kernel: Kernel | undefined): void {
  try {
    kernel?.release()
  } finally {
    openLedgers().delete(key)
  }
}

/** Undefined if nothing is there. Errors: those of the file system. */
function placeOf({ home, ledger }: Layout): Place | undefined {
  const find = (path: string) => statSync(path, { bigint: true, throwIfNoEntry: false })
  try {
    const found = find(ledger) ?? find(home)
    return found && { key: `${found.dev}:${found.ino}`, folder: `${found.ino}`, owner: Number(found.uid) }
  } catch (error) {
    throw fileError(error, `opening ${ledger}`)
  }
}

function openFolder(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    // Opening the database will report the problem.
    if (isAbsence(error)) return undefined
    throw error
  }
}

const registry = Symbol.for('lockstep.open-ledgers')

/**
 * The map of open ledgers, by device and inode of the database folder. All installations of the package in this process
 * share it. `asked` counts how often other processes asked for the ledger since it was opened.
 */
function openLedgers(): Map<string, { asked: number }> {
  const globals = globalThis as { [registry]?: Map<string, { asked: number }> }
  globals[registry] ??= new Map()
  return globals[registry]
}
