import { EndsTooSoon, Numbers } from './numbers.ts'

/** What LevelDB's MANIFEST says of the database's files. */
export interface Manifest {
  /** Logs with this number or a higher one hold what no table has yet. Zero in a database that was never opened. */
  logNumber: number
  /** One older log that does as well, or zero; no LevelDB of these days leaves one. */
  previousLogNumber: number
  /** No file has this number or a higher one, but those that were made since. */
  nextFile: number
  /** The numbers of the tables in use. */
  tables: Set<number>
}

// The tags of a version edit, as db/version_edit.cc of LevelDB's sources numbers them.
const comparator = 1
const logNumber = 2
const nextFile = 3
const lastSequence = 4
const compactPointer = 5
const deletedFile = 6
const newFile = 7
const previousLogNumber = 9

/** Follows the edits of a MANIFEST to where they lead, or says what is wrong with one. */
export function manifestOf(edits: readonly Buffer[]): Manifest | { problem: string } {
  const manifest: Manifest = { logNumber: 0, previousLogNumber: 0, nextFile: 0, tables: new Set() }
  try {
    for (const edit of edits) {
      const problem = apply(manifest, new Numbers(edit))
      if (problem !== undefined) return { problem }
    }
  } catch (error) {
    if (error instanceof EndsTooSoon) return { problem: 'an edit of it ends too soon' }
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
        return `an edit of it has the unknown tag ${tag}`
    }
  }
  return undefined
}
