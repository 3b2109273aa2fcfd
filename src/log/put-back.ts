import { constants, copyFileSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { syncFolder } from '../fs/durable.ts'
import { databaseFiles, syncFile } from './files.ts'
import type { Wal } from './wal.ts'

/**
 * Makes a database what it was when its files were kept and its logs were read, in an order in which a crash leaves either the one or the other:
 * CURRENT, which names the MANIFEST and so all the rest, is replaced last, by a rename. Files that are there besides go to
 * a folder, or are removed where none is named. The caller sees to it that nobody has the database open.
 * False, with nothing changed, where something was not kept. Errors: those of the file system.
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

/** Whether MANIFEST, logs and tables of a database were all kept; a table may also be where it was. */
function isComplete(ledger: string, kept: string, { logs, manifest }: Wal): boolean {
  const there = databaseFiles(kept)
  const numbers = new Set([...there, ...databaseFiles(ledger)].map((name) => Number.parseInt(name, 10)))
  return (
    ['CURRENT', manifest.name, ...logs].every((name) => there.includes(name)) &&
    [...manifest.tables].every((number) => numbers.has(number))
  )
}

/** A link in place of whatever has the name, or a copy where there are no links. */
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
  // The rename does nothing, and leaves both names, where they are one file already.
  rmSync(beside, { force: true })
}

function isSameFile(left: string, right: string): boolean {
  const [one, other] = [left, right].map((path) => statSync(path, { bigint: true, throwIfNoEntry: false }))
  return one !== undefined && one.ino === other?.ino && one.dev === other.dev
}
