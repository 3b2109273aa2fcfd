import { OpenFolder } from '../../disk/open-folder.ts'
import { errorIssue, type Issue } from '../../domain/turn/issue.ts'
import { partSuffixes } from '../../domain/turn/stem.ts'
import { isTextPath, textEndings } from '../../domain/turn/text-file.ts'
import type { Config } from '../../kernel/config.ts'
import { limits } from '../../kernel/limits.ts'
import { indexName } from '../workspace/names.ts'
import { type StemAt, stemsOfWorkspace } from '../workspace/stems.ts'

/** The parts of a triplet and a tombstone by the ends of their names. A text file is a whole triplet. */
const suffixes = { ...partSuffixes, text: '' } as const
export type PartName = keyof typeof suffixes

/** The file at the top of a staging directory that maps stems to the digests that they are based on. */
export const basesName = '_base.json'

/** The stem and the part of it that a name in a staging directory stands for. */
export interface StagingName {
  part: PartName
  stem: string
}

/** A file that was read. */
export interface StagingFile extends StagingName {
  path: string
  bytes: Uint8Array
}

/** The files that were read. `names` also includes files that could not be read. */
export interface StagingFiles {
  /** The content of `_base.json`. */
  bases?: Uint8Array | undefined
  files: StagingFile[]
  issues: Issue[]
  names: StagingName[]
}

export interface StagingRead {
  /** The limits for reading a directory. */
  bounds: Config['turn_limits']
  /** Called from time to time with the number of files read and the number known so far. */
  onProgress?: ((progress: { read: number; known: number }) => void) | undefined
  /**
   * Called with each file that was read. If it returns true, the file is removed, unless another file took its place.
   */
  take?: ((file: StagingFile) => boolean) | undefined
  /** The directory is a workspace's tree. Names are mapped back to stems, and its index is skipped. */
  isWorkspace?: boolean | undefined
  /** Whether folders are opened by their descriptors. Tests turn this off. */
  byDescriptor?: boolean | undefined
}

/** The maximum depth of a stem. */
const depthMax = limits.stemBytes / 2
/** Each stem has at most a triplet, a tombstone and a folder. A directory with more names than that is rejected. */
const namesPerStem = 5
/** How long this reads files before other work may run. */
const sliceMillis = 5

/**
 * Reads only files inside the staging directory: it follows no links and opens only regular files. All problems are
 * reported as issues. If a limit of the whole directory is exceeded, reading stops and only that issue is reported. A
 * missing directory counts as empty.
 * Cost: memory for all of its files.
 * Errors: FILE_DENIED, FILE_FAILED.
 */
export async function readStagingFiles(directory: string, read: StagingRead): Promise<StagingFiles> {
  const top = OpenFolder.at(directory, ...(read.byDescriptor === undefined ? [] : [read.byDescriptor]))
  if (top === undefined) return { files: [], issues: [], names: [] }
  if ('is' in top) return { files: [], issues: [notReadable('', top.is)], names: [] }
  try {
    const reading = new Reading(read, read.isWorkspace ? stemsOfWorkspace(top, read.bounds.stems) : (path) => path)
    await reading.folder(top, [])
    return reading
  } catch (error) {
    if (!(error instanceof OverBound)) throw error
    return { files: [], issues: [error.issue], names: [] }
  } finally {
    top.close()
  }
}

class Reading implements StagingFiles {
  bases: Uint8Array | undefined
  readonly files: StagingFile[] = []
  readonly issues: Issue[] = []
  readonly names: StagingName[] = []
  readonly #read: StagingRead
  readonly #stemAt: StemAt
  readonly #stems = new Set<string>()
  #listed = 0
  #known = 0
  #bytes = 0
  #sliceEnds = performance.now() + sliceMillis

  constructor(read: StagingRead, stemAt: StemAt) {
    this.#read = read
    this.#stemAt = stemAt
  }

  async folder(folder: OpenFolder, above: readonly string[]): Promise<void> {
    const { bounds, isWorkspace } = this.#read
    const names = folder.names(bounds.stems * namesPerStem - this.#listed)
    if (names === undefined) throw overBound('names in the directory', bounds.stems * namesPerStem)
    this.#listed += names.length
    const below: string[] = []
    const here: (StagingName & { name: string })[] = []
    for (const found of names) {
      const path = [...above, found.name].join('/')
      const part = found.kind === 'folder' ? undefined : partOf(found.name)
      const stem = part && this.#stemAt(path.slice(0, path.length - suffixes[part].length))
      const named = part !== undefined && stem !== undefined ? { part, stem } : undefined
      if (named !== undefined) this.names.push(named)
      if (found.name.includes('\ufffd')) this.#wrong(path, 'has a name that is not UTF-8')
      else if (found.kind === 'other') this.#wrong(path, found.is)
      else if (found.kind === 'folder') {
        if (!isWorkspace || above.length > 0 || found.name !== indexName) below.push(found.name)
      } else if (path === basesName && !isWorkspace) this.#readBases(folder)
      else if (part === undefined)
        this.#wrong(path, `is neither a file of a triplet, a tombstone nor a text (${textEndings.join(', ')})`)
      else if (named === undefined) this.#wrong(path, 'has a name that a workspace does not use for any stem')
      else here.push({ ...named, name: found.name })
    }
    this.#count(here)
    for (const { name, part, stem } of here) {
      await this.#pause()
      this.#file(folder, name, { part, path: [...above, name].join('/'), stem })
    }
    for (const name of below) await this.#below(folder, [...above, name])
  }

  async #below(folder: OpenFolder, path: readonly string[]): Promise<void> {
    if (path.length > depthMax) return this.#wrong(path.join('/'), `is more than ${depthMax} folders deep`)
    const child = folder.folder(path.at(-1) ?? '')
    if ('is' in child) return this.#wrong(path.join('/'), child.is)
    try {
      await this.folder(child, path)
    } finally {
      child.close()
    }
  }

  #readBases(folder: OpenFolder): void {
    const found = folder.read(basesName, this.#read.bounds.turn_bytes)
    if ('bytes' in found) this.bases = found.bytes
    else this.#wrong(basesName, 'is' in found ? found.is : 'is too long')
  }

  #file(folder: OpenFolder, name: string, file: Omit<StagingFile, 'bytes'>): void {
    const { object_bytes, turn_bytes } = this.#read.bounds
    const found = folder.read(name, object_bytes)
    if ('is' in found) {
      this.#wrong(file.path, found.is)
      return
    }
    if ('size' in found) {
      const details = { bytes_max: object_bytes }
      const message = `the file has ${found.size} bytes; an object may have at most ${object_bytes}`
      this.issues.push(errorIssue('LIMIT_EXCEEDED', { details, location: file.path, message, stage: 'stage' }))
      return
    }
    this.#bytes += found.bytes.length
    if (this.#bytes > turn_bytes) throw overBound('bytes of all files', turn_bytes)
    const whole = { ...file, bytes: found.bytes }
    this.files.push(whole)
    if (this.#read.take?.(whole)) folder.remove(name, whole.bytes)
  }

  /** Checks the limits before any of the files is read. */
  #count(names: readonly StagingName[]): void {
    for (const { stem } of names) this.#stems.add(stem)
    if (this.#stems.size > this.#read.bounds.stems) throw overBound('stems', this.#read.bounds.stems)
    this.#known += names.length
  }

  #wrong(location: string, is: string): void {
    this.issues.push(notReadable(location, is))
  }

  async #pause(): Promise<void> {
    if (performance.now() < this.#sliceEnds) return
    this.#read.onProgress?.({ read: this.files.length, known: this.#known })
    await new Promise(setImmediate)
    this.#sliceEnds = performance.now() + sliceMillis
  }
}

function partOf(name: string): PartName | undefined {
  const parts = Object.keys(partSuffixes) as (keyof typeof partSuffixes)[]
  return parts.find((part) => name.endsWith(partSuffixes[part])) ?? (isTextPath(name) ? 'text' : undefined)
}

class OverBound extends Error {
  readonly issue: Issue

  constructor(issue: Issue) {
    super(issue.message)
    this.issue = issue
  }
}

function overBound(what: string, max: number): OverBound {
  const details = what.startsWith('bytes') ? { bytes_max: max } : {}
  const message = `the directory has more than ${max} ${what}`
  return new OverBound(errorIssue('LIMIT_EXCEEDED', { details, location: '', message, stage: 'stage' }))
}

function notReadable(location: string, is: string): Issue {
  const message = location === '' ? `the directory ${is}` : `it ${is}`
  return errorIssue('E_STAGING_FILE_INVALID', {
    details: { kind: is.replace(/^is (?:an? )?/, '') },
    location,
    message,
    stage: 'stage',
  })
}
