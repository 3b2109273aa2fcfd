import { below } from '../../fixtures/random.ts'
import { Disk } from './disk.ts'
import type { Event, NameChange, Recording } from './recording.ts'

/** What a disk may have of a recording after a power failure. */
export const models = ['ordered', 'metadata first', 'torn', 'zero tail', 'random blocks', 'strict names'] as const
export type Model = (typeof models)[number]

const sectorBytes = 512
const blockBytes = 4_096

/**
 * A disk as a model allows it where the power fails before an event. What was synced is there in every model; the
 * models differ in what else is.
 */
export function diskAfter(
  recording: Recording,
  { at, model, random }: { at: number; model: Model; random: () => number },
): Disk {
  const events = recording.events.slice(0, at)
  const synced = syncedOf(events)
  const disk = new Disk(recording)
  const namesEnd = new NameEnds(events, synced, model, random)
  for (const [index, event] of events.entries()) {
    if (event.is === 'names' && namesEnd.has(index, event.change)) disk.name(event.change)
    if (event.is !== 'data') continue
    const { change } = event
    const isSynced = index < (synced.files.get(change.node) ?? 0)
    if (isSynced || (model === 'ordered' && index < namesEnd.all)) disk.write(change)
    else if (model !== 'ordered') writeUnsynced(disk, change, model, random)
  }
  return disk
}

interface Synced {
  /** Up to which event a file or folder was synced. */
  files: Map<number, number>
  /** Up to which event some sync that has ended reached. */
  all: number
}

function syncedOf(events: readonly Event[]): Synced {
  const begun = new Map<number, number[]>()
  const files = new Map<number, number>()
  let all = 0
  for (const [index, event] of events.entries()) {
    if (event.is === 'sync') begun.set(event.node, [...(begun.get(event.node) ?? []), index])
    if (event.is !== 'synced') continue
    // Of several syncs under way at once, the earliest is taken for the one that ended.
    const from = begun.get(event.node)?.shift() ?? 0
    files.set(event.node, Math.max(files.get(event.node) ?? 0, from))
    all = Math.max(all, from)
  }
  return { files, all }
}

/**
 * Up to which event names have changed. A sync of any file writes the journal, with all names before it; on a strict
 * disk a folder's names are written by a sync of that folder alone.
 */
class NameEnds {
  readonly all: number
  readonly #folders: Map<number, number> | undefined

  constructor(events: readonly Event[], synced: Synced, model: Model, random: () => number) {
    const from = (start: number) => start + below(events.length - start + 1, random)
    this.all = model === 'ordered' ? from(synced.all) : events.length
    if (model !== 'strict names') return
    this.#folders = new Map()
    for (const event of events) {
      for (const { folder } of event.is === 'names' ? event.change.names : []) {
        const start = synced.files.get(folder) ?? 0
        if (!this.#folders.has(folder)) this.#folders.set(folder, random() < 0.5 ? start : from(start))
      }
    }
  }

  has(index: number, { names }: NameChange): boolean {
    if (this.#folders === undefined) return index < this.all
    // A change of two folders is one step of the journal: it is there as soon as one of them is written.
    return names.some(({ folder }) => index < (this.#folders?.get(folder) ?? 0))
  }
}

/** What became of bytes that were never synced. A disk of strict names has none of them. */
function writeUnsynced(
  disk: Disk,
  change: Extract<Event, { is: 'data' }>['change'],
  model: Model,
  random: () => number,
): void {
  const { at, bytes, node } = change
  if (bytes === undefined) {
    disk.write(change)
    return
  }
  if (model === 'strict names') return
  disk.grow(node, at + bytes.length)
  // A disk writes whole sectors or blocks of the file, wherever in them the write began.
  const inParts = (size: number, of: (part: Uint8Array, index: number) => Uint8Array | undefined) => {
    for (let from = 0, end = 0; from < bytes.length; from = end) {
      end = Math.min(bytes.length, from + size - ((at + from) % size))
      const part = of(bytes.subarray(from, end), Math.floor((at + from) / size))
      if (part !== undefined) disk.write({ node, at: at + from, bytes: part })
    }
  }
  if (model === 'torn') inParts(sectorBytes, (sector) => (random() < 0.5 ? sector : undefined))
  else if (model === 'random blocks')
    inParts(blockBytes, (block) => (random() < 0.5 ? block : block.map(() => below(256, random))))
  else if (model === 'zero tail') {
    const kept = random() < 0.3 ? bytes.length : below(bytes.length, random)
    inParts(sectorBytes, (sector, index) => ((index + 1) * sectorBytes <= at + kept ? sector : undefined))
  }
}
