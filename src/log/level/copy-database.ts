import { constants, copyFileSync, linkSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { hasNoLinks } from '../../disk/links.ts'
import { LockstepError } from '../../errors.ts'
import { databaseFiles } from './files.ts'

/**
 * Copies a database into an empty folder. The process that has the database open calls this between two writes.
 * `tablesNow` lists the tables of the current version.
 * Errors: those of the file system, DISK_FULL.
 */
export function copyDatabase(ledger: string, folder: string, tablesNow: readonly string[]): void {
  const isTable = (name: string) => /\.(?:ldb|sst)$/.test(name)
  const copied = databaseFiles(ledger).filter((name) => !isTable(name))
  for (const name of copied) copyFileSync(join(ledger, name), join(folder, name), constants.COPYFILE_EXCL)
  linkTables(ledger, folder, tablesNow)
}

/** Hard-links tables into a folder, or copies them if it is on another disk. Errors: those of the file system, DISK_FULL. */
export function linkTables(ledger: string, folder: string, tables: readonly string[]): void {
  let isLinked = true
  for (const name of tables) {
    const [from, to] = [join(ledger, name), join(folder, name)]
    try {
      if (isLinked) linkSync(from, to)
    } catch (error) {
      if (!hasNoLinks(error)) throw error
      isLinked = false
      assertRoomFor(ledger, tables, folder)
    }
    if (!isLinked) copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE)
  }
}

/** Requires twice the size of the copy as free space, because a full disk would stop the ledger. Errors: DISK_FULL. */
function assertRoomFor(ledger: string, tables: readonly string[], folder: string): void {
  const bytes = tables.reduce((sum, name) => sum + statSync(join(ledger, name)).size, 0)
  const { bavail, bsize } = statfsSync(folder)
  if (bytes * 2 <= bavail * bsize) return
  throw new LockstepError('DISK_FULL', `a copy of the database needs ${bytes * 2} free bytes`, {
    details: { bytes_needed: bytes * 2, bytes_free: bavail * bsize },
    hint: 'The file system does not support hard links, so the tables must be copied. Free some space, or move the ledger.',
  })
}
