import { constants, copyFileSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { syncFolder } from '../../../disk/durable.ts'
import { databaseFiles, syncFile } from '../files.ts'
import type { Wal } from './wal.ts'

/**
 * Restores a database to its state when its files were kept and its logs were read. The order makes a crash leave either
 * the old or the restored database: CURRENT, which names the MANIFEST and thereby all other files, is replaced last, by
 * a rename. Extra files are moved to `aside`, or removed if that is not given. The caller makes sure that no process
 * has the database open. Returns false and changes nothing if a file was not kept.
 * Errors: those of the file system.
 */
export function putBack(ledger: string, kept: string, wal: Wal, aside?: string): boolean {
  if (!isComplete(ledger, kept, wal)) return false
  const names = databaseFiles(kept)
  const added = databaseFiles(ledger).filter((name) => !names.includes(name))
  mkdirSync(ledger, { recursive: true, mode: 0o700 })
  if (aside !== undefined) mkdirSync(aside, { recursive: true, mode: 0o700 })
  const replaced = names.filter((name) => !isSameFile(join(kept, name), join(ledger, name)))
  for (const name of replaced) {
    if (aside !== undefined && databaseFiles(ledger).includes(name)) place(join(ledger, name), join(aside, name))
  }
  for (const name of replaced.filter((name) => name !== 'CURRENT')) place(join(kept, name), join(ledger, name))
  syncFolder(ledger)
  if (replaced.includes('CURRENT')) place(join(kept, 'CURRENT'), join(ledger, 'CURRENT'))
  syncFolder(ledger)
  for (const name of added) {
    if (aside === undefined) rmSync(join(ledger, name), { force: true })
    else renameSync(join(ledger, name), join(aside, name))
  }
  syncFolder(ledger)
  return true
}

/** Whether the MANIFEST, all logs and all tables were kept. A table may also still be in its original place. */
function isComplete(ledger: string, kept: string, { logs, manifest }: Wal): boolean {
  const there = databaseFiles(kept)
  const numbers = new Set([...there, ...databaseFiles(ledger)].map((name) => Number.parseInt(name, 10)))
  return (
    ['CURRENT', manifest.name, ...logs].every((name) => there.includes(name)) &&
    [...manifest.tables].every((number) => numbers.has(number))
  )
}

/** Replaces the file at `to` with a link to `from`, or with a copy if the file system has no hard links. */
function place(from: string, to: string): void {
  const beside = `${to}.back`
  rmSync(beside, { force: true })
  try {
    linkSync(from, beside)
  } catch {
    copyFileSync(from, beside, constants.COPYFILE_FICLONE)
    syncFile(beside)
  }
  renameSync(beside, to)
  // If both names already belong to one file, the rename does nothing and leaves both names.
  rmSync(beside, { force: true })
}

function isSameFile(left: string, right: string): boolean {
  const [one, other] = [left, right].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }))
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev
}
