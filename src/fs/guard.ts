import { closeSync, constants, openSync, statSync } from 'node:fs'
import { systemCodeOf } from '../errors.ts'
import { fileError, isAbsence } from './durable.ts'
import { GuardName } from './guard-name.ts'
import { type Layout, noLedger } from './layout.ts'
import { canNameDescriptors } from './open-folder.ts'
import { isKnownAlive, isKnownGone, readOwner } from './owner.ts'
import { answerAsked, isAnswered } from './owner-asking.ts'

/**
 * The exclusion beside LevelDB's own lock, which any program in the owning process drops by reading one file. It is
 * taken before anything of the database is touched and held until after it is closed (ADR 0026):
 *
 * - a map in the process, which two installations of the package share;
 * - on Linux a socket name without a file, on macOS a locked file: the kernel gives either to one process only, and
 *   takes it back when that process dies;
 * - where the kernel's answer does not reach, as between two containers, the owner named in `.lockstep/owner` is asked
 *   by a file, unless it is known to be gone.
 *
 * It also keeps the folder of the database open, so that LevelDB never writes into another folder that took its place.
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
   * Takes the guard now or not at all: undefined if another process has it. Errors: NO_LEDGER if the ledger was moved
   * away since it was found; those of the system.
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

  /** What keeps others out here beside the process map, the asking and LevelDB's lock. */
  get exclusion(): Kernel['kind'] {
    return this.#kernel.kind
  }

  /** For the owner file. */
  get here(): { folder: string; holdsName: boolean } {
    return hereOf(this.#place, this.#kernel)
  }

  /** The path by which the database is opened: on Linux the open folder itself, wherever it is moved. */
  get ledger(): string {
    const isPinned = this.#folder !== undefined && canNameDescriptors
    return isPinned ? `/proc/self/fd/${this.#folder}` : this.#layout.ledger
  }

  /** Whether the folder in its place is the one that is guarded. */
  isInPlace(): boolean {
    return placeOf(this.#layout)?.key === this.#place.key
  }

  release(): void {
    this.#stopAnswering()
    release(this.#place, this.#kernel)
    if (this.#folder !== undefined) closeSync(this.#folder)
  }
}

/** The folder of the database by device and inode, which are the same on every path that leads to it. */
interface Place {
  key: string
  folder: string
}

/** What the kernel gave: a name, a locked file, or nothing. A stranger may hold the name. */
interface Kernel {
  kind: 'file' | 'name' | 'none' | 'stranger'
  /** Who holds the name says nothing, so its owner is asked for in the other way. */
  isSilent: boolean
  release: () => void
}

const nothing = { isSilent: false, release: () => {} }

/** Undefined where another process of this ledger has it. */
async function takeKernel(layout: Layout, place: Place, asked: () => void): Promise<Kernel | undefined> {
  if (process.platform === 'darwin') return lockFile(layout.guard)
  const name = GuardName.of(layout.key, place.key, asked)
  if (name === undefined) return { kind: 'none', ...nothing }
  const taken = await name.take()
  if (taken === 'taken') return { kind: 'name', isSilent: false, release: () => name.release() }
  if (taken === 'impossible') return { kind: 'none', ...nothing }
  const holder = await name.holder()
  return holder === 'owner' ? undefined : { kind: 'stranger', ...nothing, isSilent: holder === 'no answer' }
}

/** Whether the process that the owner file names has the ledger, as far as the kernel's answer leaves that open. */
async function isHeldElsewhere(layout: Layout, place: Place, kernel: Kernel): Promise<boolean> {
  const owner = readOwner(layout.owner)
  const isOpen = owner?.state === 'open'
  if (kernel.kind === 'file') return false
  if (kernel.isSilent && isOpen && isKnownAlive(owner)) return true
  const isInDoubt = kernel.isSilent || (isOpen && !isKnownGone(owner, hereOf(place, kernel)))
  return isInDoubt && (await isAnswered(layout.asked))
}

function hereOf({ folder }: Place, { kind }: Kernel): { folder: string; holdsName: boolean } {
  return { folder, holdsName: kind === 'name' }
}

const exclusiveLock = 0x20

/** A lock of the open file, as flock(2) makes it, which reading the file elsewhere does not drop; macOS has it at open. */
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
  kernel?.release()
  openLedgers().delete(key)
}

/** Undefined if nothing is there. Errors: those of the file system. */
function placeOf({ home, ledger }: Layout): Place | undefined {
  const find = (path: string) => statSync(path, { bigint: true, throwIfNoEntry: false })
  try {
    const found = find(ledger) ?? find(home)
    return found && { key: `${found.dev}:${found.ino}`, folder: `${found.ino}` }
  } catch (error) {
    throw fileError(error, `opening ${ledger}`)
  }
}

function openFolder(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    // What opens the database says what is wrong with it.
    if (isAbsence(error)) return undefined
    throw error
  }
}

const registry = Symbol.for('lockstep.open-ledgers')

/**
 * Every installation of the package in this process keeps the same map, by device and inode of the database's folder;
 * `asked` counts how often another wanted the ledger meanwhile.
 */
function openLedgers(): Map<string, { asked: number }> {
  const globals = globalThis as { [registry]?: Map<string, { asked: number }> }
  globals[registry] ??= new Map()
  return globals[registry]
}
