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
import { fileError, isAbsence, makeFolderBelow, syncFolder, writeDurably } from '../../disk/durable.ts'
import { hasNoLinks } from '../../disk/links.ts'
import { adopt } from '../../disk/ownership.ts'
import { readHint } from '../../disk/regular-file.ts'
import { type Evidence, evidenceSchema } from '../../domain/lock/liveness.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'

const noteSchema = z.strictObject({
  evidence: evidenceSchema,
  file: z.string(),
  run_id: z.string(),
  spool: z.string(),
})

/** The names of the files in the spool: two long files of the archive, the archive itself, and its record. */
const spoolNames = ['entries', 'proofs', 'archive', 'record'] as const
type SpoolName = (typeof spoolNames)[number]

/**
 * The files of one export. Each export writes to its own spool, a folder beside the archive with a nonce in its name. A
 * note in `.lockstep/exports` names the spool, the run and the process, so that an open after a crash knows which files
 * belong to Lockstep. Nothing is ever overwritten: an archive gets its name only if that name is free.
 *
 * States: noted → spooled → placed → ended. From each of them, an export can be withdrawn and then ended.
 */
export class ExportFiles {
  readonly file: string
  readonly run_id: string
  readonly evidence: Evidence
  /** When the export was noted. Its process was running then. */
  readonly notedMillis: number
  readonly #note: string
  readonly #spool: string
  /** The files that this process has placed. */
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

  /** Writes the note of an export durably. Errors: DISK_FULL, FILE_DENIED, FILE_FAILED. */
  static async note(
    notes: string,
    { nonce, ...asked }: { evidence: Evidence; file: string; nonce: string; run_id: string },
  ): Promise<ExportFiles> {
    const note = { ...asked, spool: join(dirname(asked.file), `.lockstep-export-${nonce}.tmp`) }
    try {
      makeFolderBelow(dirname(notes), notes, 0o700)
    } catch (error) {
      throw fileError(error, `writing the note of an export to ${notes}`)
    }
    const path = join(notes, nonce)
    await writeDurably(path, JSON.stringify(note), 0o600)
    return new ExportFiles(path, Date.now(), note)
  }

  /** The exports that have a note. An unreadable note is ignored. */
  static noted(notes: string): ExportFiles[] {
    return namesIn(notes).flatMap((name) => {
      const path = join(notes, name)
      const parsed = noteSchema.safeParse(parsedJson(readHint(path, limits.homeFileBytes) ?? ''))
      return parsed.success ? [new ExportFiles(path, statSync(path).mtimeMs, parsed.data)] : []
    })
  }

  /** The final path of the record. */
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

  /**
   * Gives the archive and the record their final names.
   * Errors: INVALID_INPUT if a name is taken; those of the file system.
   */
  place(): void {
    for (const [name, path] of this.#places) {
      placeNew(this.spooled(name), path)
      this.#placed.push(path)
    }
    syncFolder(dirname(this.file))
  }

  /**
   * Removes the archive and the record if they were placed. Either this process placed them, or the process that did
   * left its spool, in which they are the same files.
   */
  withdraw(): void {
    for (const [name, path] of this.#places) {
      if (this.#placed.includes(path) || isSameFile(this.spooled(name), path)) rmSync(path, { force: true })
    }
    this.#placed = []
  }

  /**
   * Removes the spool and the note. Unknown files in the spool do not belong to Lockstep, so they stay, and the spool
   * with them.
   */
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

/** Gives a finished file a name that is not in use. Errors: INVALID_INPUT; those of the file system. */
export function placeNew(from: string, to: string): void {
  try {
    try {
      linkSync(from, to)
    } catch (error) {
      if (!hasNoLinks(error)) throw error
      // Reserves the name with an empty file, which the rename then replaces.
      closeSync(openSync(to, 'wx', 0o600))
      renameSync(from, to)
    }
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') throw isThere(to)
    throw error
  }
}

/** INVALID_INPUT for a file that an export would overwrite. */
export function isThere(file: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `${file} already exists`, { details: { file } })
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
