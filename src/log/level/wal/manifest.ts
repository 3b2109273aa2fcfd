import { EndsTooSoon, Numbers } from '../../keyed/rows/numbers.ts'

/** The facts in LevelDB's MANIFEST about the database files. */
export interface Manifest {
  /**
   * Logs with this number or a higher one hold data that is in no table yet. Zero in a database that was never opened.
   */
  logNumber: number
  /** One older log that also holds such data, or zero. Current versions of LevelDB never leave one. */
  previousLogNumber: number
  /** Every file with this number or a higher one was created after the MANIFEST was written. */
  nextFile: number
  /** The numbers of the tables in use. */
  tables: Set<number>
}

// The tags of a version edit, as numbered in LevelDB's source file db/version_edit.cc.
const comparator = 1
const logNumber = 2
const nextFile = 3
const lastSequence = 4
const compactPointer = 5
const deletedFile = 6
const newFile = 7
const previousLogNumber = 9

/** Applies the edits of a MANIFEST and returns the resulting state, or the problem with an edit. */
export function manifestOf(edits: readonly Buffer[]): Manifest | { problem: string } {
  const manifest: Manifest = { logNumber: 0, previousLogNumber: 0, nextFile: 0, tables: new Set() }
  try {
    for (const edit of edits) {
      const problem = apply(manifest, new Numbers(edit))
      if (problem !== undefined) return { problem }
    }
  } catch (error) {
    if (error instanceof EndsTooSoon) return { problem: 'one of its edits ends too early' }
    throw error
  }
  return manifest
}

function apply(manifest: Manifest, edit: Numbers): string | undefined {
  while (edit.isLeft) {
    const tag = edit.next()
    switch (tag) {
      case comparator:
        edit.slice()
        break
      case logNumber:
        manifest.logNumber = edit.next()
        break
      case previousLogNumber:
        manifest.previousLogNumber = edit.next()
        break
      case nextFile:
        manifest.nextFile = edit.next()
        break
      case lastSequence:
        edit.next()
        break
      case compactPointer:
        edit.next()
        edit.slice()
        break
      case deletedFile:
        edit.next()
        manifest.tables.delete(edit.next())
        break
      case newFile: {
        edit.next()
        manifest.tables.add(edit.next())
        edit.next()
        edit.slice()
        edit.slice()
        break
      }
      default:
        return `one of its edits has the unknown tag ${tag}`
    }
  }
  return undefined
}
