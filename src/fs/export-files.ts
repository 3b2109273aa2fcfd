import {
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { limits } from '../core/limits.ts'
import { type Evidence, evidenceSchema } from '../core/lock/liveness.ts'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { fileError, isAbsence, makeFolderBelow, syncFolder, writeDurably } from './durable.ts'
import { hasNoLinks } from './links.ts'
import { adopt } from './ownership.ts'
import { readHint } from './regular-file.ts'

const noteSchema = z.strictObject({
  evidence: evidenceSchema,
  file: z.string(),
  run_id: z.string(),
  spool: z.string(),
})

/** What is written in the spool, by name: two long files of the archive, the archive, and its record. */
const spoolNames = ['entries', 'proofs', 'archive', 'record'] as const
type SpoolName = (typeof spoolNames)[number]

/**
 * The files of one export. Each export writes in a folder of its own beside its archive, its spool, whose name holds a
 * nonce; a note in `.lockstep/exports` names it, the run, and the process, so that an open after a crash can tell what
 * is ours. Nothing is ever written over: an archive is given its name only where nothing has that name.
 *
 * noted → spooled → placed → ended; or withdrawn and ended, from any of them.
 */
export class ExportFiles {
  readonly file: string
  readonly run_id: string
  readonly evidence: Evidence
  /** When the export was noted: its process lived then. */
  readonly notedMillis: number
  readonly #note: string
  readonly #spool: string
  /** What this process has placed. */
  #placed: string[] = []

  private constructor(
    note: string,
    notedMillis: number,
    { evidence, file, run_id, spool }: z.output<typeof noteSchema>,
  ) {
    this.#note = note
    this.notedMillis = notedMillis
    this.#spool = spool
    this.evidence = evidence
    this.file = file
    this.run_id = run_id
  }

  /** Notes an export in the folder of notes, durably. Errors: DISK_FULL, FILE_DENIED, FILE_FAILED. */
  static async note(
    notes: string,
    { nonce, ...asked }: { evidence: Evidence; file: string; nonce: string; run_id: string },
  ): Promise<ExportFiles> {
    const note = { ...asked, spool: join(dirname(asked.file), `.lockstep-export-${nonce}.tmp`) }
    try {
      makeFolderBelow(dirname(notes), notes, 0o700)
    } catch (error) {
      throw fileError(error, `noting an export in ${notes}`)
    }
    const path = join(notes, nonce)
    await writeDurably(path, JSON.stringify(note), 0o600)
    return new ExportFiles(path, Date.now(), note)
  }

  /** The exports that are noted. A note that cannot be read as one is left alone. */
  static noted(notes: string): ExportFiles[] {
    return namesIn(notes).flatMap((name) => {
      const path = join(notes, name)
      const parsed = noteSchema.safeParse(parsedJson(readHint(path, limits.homeFileBytes) ?? ''))
      return parsed.success ? [new ExportFiles(path, statSync(path).mtimeMs, parsed.data)] : []
    })
  }

  /** Where the record is placed. */
  get recordFile(): string {
    return `${this.file}.json`
  }

  spooled(name: SpoolName): string {
    return join(this.#spool, name)
  }

  /** Makes the spool. Errors: those of the file system. */
  makeSpool(): void {
    mkdirSync(this.#spool, { mode: 0o700 })
    adopt(this.#spool)
  }

  /** Gives archive and record their names. Errors: INVALID_INPUT where something has one, those of the file system. */
  place(): void {
    for (const [name, path] of this.#places) {
      placeNew(this.spooled(name), path)
      this.#placed.push(path)
    }
    syncFolder(dirname(this.file))
  }

  /**
   * Removes archive and record where they were placed: by this process, or by one that left its spool, in which they
   * are the same files.
   */
  withdraw(): void {
    for (const [name, path] of this.#places) {
      if (this.#placed.includes(path) || isSameFile(this.spooled(name), path)) rmSync(path, { force: true })
    }
    this.#placed = []
  }

  /** Removes spool and note. What is in the spool under other names is not ours, and stays with it. */
  end(): void {
    try {
      for (const name of [...spoolNames, 'record.tmp']) rmSync(join(this.#spool, name), { force: true })
      rmdirSync(this.#spool)
    } catch (error) {
      const code = systemCodeOf(error) ?? ''
      if (!isAbsence(error) && !['ENOTEMPTY', 'EEXIST'].includes(code))
        throw fileError(error, `removing ${this.#spool}`)
    }
    rmSync(this.#note, { force: true })
  }

  get #places(): [SpoolName, string][] {
    return [
      ['archive', this.file],
      ['record', this.recordFile],
    ]
  }
}

/** Gives a finished file a name that nothing has yet. Errors: INVALID_INPUT, those of the file system. */
function placeNew(from: string, to: string): void {
  try {
    try {
      linkSync(from, to)
    } catch (error) {
      if (!hasNoLinks(error)) throw error
      // Takes the name, which a rename then replaces.
      closeSync(openSync(to, 'wx', 0o600))
      renameSync(from, to)
    }
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') throw isThere(to)
    throw error
  }
}

/** INVALID_INPUT, of a file that an export would write over. */
export function isThere(file: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `${file} is there already`, { details: { file } })
}

function isSameFile(one: string, other: string): boolean {
  const [left, right] = [one, other].map((path) => lstatSync(path, { bigint: true, throwIfNoEntry: false }))
  return left !== undefined && left.ino === right?.ino && left.dev === right.dev
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => !name.endsWith('.tmp'))
  } catch (error) {
    if (isAbsence(error)) return []
    throw fileError(error, `reading ${folder}`)
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
