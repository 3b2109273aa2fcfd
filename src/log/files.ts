import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { systemCodeOf } from '../errors.ts'
import { fileError, isAbsence, makeFolderBelow } from '../fs/durable.ts'
import { adopt } from '../fs/ownership.ts'
import { failureOf } from './failure.ts'

/** A process that merely opens and closes this file loses LevelDB's lock on it, so nobody here ever does. */
const neverTouched = new Set(['LOCK', 'LOG', 'LOG.old'])

/** Size, mtime and inode of each file of the database, as left at close and met at open. */
export function fingerprint(ledger: string): Record<string, string> {
  const files: Record<string, string> = {}
  for (const name of databaseFiles(ledger)) {
    const stat = statSync(join(ledger, name), { bigint: true, throwIfNoEntry: false })
    if (stat !== undefined) files[name] = `${stat.size}:${stat.mtimeNs}:${stat.ino}`
  }
  return files
}

/** Bytes of LevelDB's write-ahead logs: what was written since the database was last opened. */
export function logBytes(ledger: string): number {
  const logs = databaseFiles(ledger).filter((name) => name.endsWith('.log'))
  return logs.reduce((sum, name) => sum + (statSync(join(ledger, name), { throwIfNoEntry: false })?.size ?? 0), 0)
}

/**
 * Links the database's files aside before anything opens them: LevelDB deletes a damaged log while it recovers,
 * and with it the evidence. Where the files are suspect the newest are copied, as far as that is soon done: with an
 * older MANIFEST put back, LevelDB counts its files from there, and writes over those that have these numbers in
 * place, and so over their links. Returns the folder. Errors: LEDGER_UNAVAILABLE where something could not be kept that
 * LevelDB may delete when it opens.
 */
export function keepEvidence(
  ledger: string,
  evidence: string,
  { isSuspect, nonce }: { isSuspect: boolean; nonce: string },
): string {
  const folder = join(evidence, `open-${nonce}`)
  try {
    makeFolderBelow(dirname(ledger), evidence, 0o700)
    mkdirSync(folder, { mode: 0o700 })
    adopt(folder)
  } catch (error) {
    throw fileError(error, `opening the ledger in ${dirname(ledger)}`)
  }
  let bytes = isSuspect ? Math.min(copiedBytesMax, freeBytes(folder) / 4) : 0
  for (const name of databaseFiles(ledger).sort((left, right) => numberOf(right) - numberOf(left))) {
    const [from, to] = [join(ledger, name), join(folder, name)]
    try {
      bytes -= statSync(from).size
      if (bytes < 0 || !isCopied(from, to)) linkOrCopy(from, to)
    } catch (error) {
      // The process that has it open compacts meanwhile; the open that follows will find it busy.
      if (isAbsence(error) || isTable(name)) continue
      dropEvidence(folder)
      throw failureOf(`keeping ${name} while the ledger is opened`, error)
    }
  }
  return folder
}

const copiedBytesMax = 64 * 1024 * 1024

/** Tables go when they are compacted; where there are no links, so many bytes cannot be copied at each open. */
const isTable = (name: string) => /\.(?:ldb|sst)$/.test(name)

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if (isAbsence(error) || isTable(from)) throw error
    copyFileSync(from, to)
  }
}

/** LevelDB needs room of its own to recover, so copies take a part of it only. */
function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

function numberOf(name: string): number {
  return Number(/\d+/.exec(name)?.[0] ?? Number.MAX_SAFE_INTEGER)
}

/** False where there is no space for a copy; a link is better than nothing. */
function isCopied(from: string, to: string): boolean {
  try {
    copyFileSync(from, to, constants.COPYFILE_FICLONE)
    return true
  } catch {
    rmSync(to, { force: true })
    return false
  }
}

/** Removes a folder of evidence, or a snapshot. */
export function dropEvidence(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Removes what processes left that died while they opened. Only the process that has the ledger open does so, so no
 * other one is opening it. What was kept as evidence of damage stays.
 */
export function dropStaleEvidence(evidence: string): void {
  let names: string[]
  try {
    names = readdirSync(evidence)
  } catch {
    return
  }
  for (const name of names) if (/^(?:\d+|open)-/.test(name)) dropEvidence(join(evidence, name))
}

/** The first copies say most; a caller that tries again and again would fill the disk with the others. */
const sealedMax = 4

/** Gives evidence of damage a name that nothing removes, unless there is enough of it; returns the first there is. */
export function sealEvidence(folder: string, evidence: string): string {
  const sealed = readdirSync(evidence).filter((name) => name.startsWith('damaged-'))
  if (sealed.length >= sealedMax) {
    dropEvidence(folder)
    return join(evidence, oldestOf(sealed, evidence))
  }
  const path = join(evidence, `damaged-${basename(folder)}`)
  renameSync(folder, path)
  return path
}

function oldestOf(names: readonly string[], evidence: string): string {
  const born = (name: string) => statSync(join(evidence, name), { throwIfNoEntry: false })?.mtimeMs ?? Number.MAX_VALUE
  return names.reduce((oldest, name) => (born(name) < born(oldest) ? name : oldest))
}

/** Makes the bytes of a file durable. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** The names of the files that are the database: what LevelDB prints and locks is not. */
export function databaseFiles(ledger: string): string[] {
  const isData = (name: string) =>
    !neverTouched.has(name) && /^(?:CURRENT|MANIFEST-\d+|\d+\.(?:log|ldb|sst))$/.test(name)
  return namesIn(ledger).filter(isData).sort()
}

/** A folder that is gone has no files; opening it says so. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return []
    throw failureOf(`reading ${folder}`, error)
  }
}
