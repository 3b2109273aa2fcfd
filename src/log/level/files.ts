import {
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileError, isAbsence, makeFolderBelow } from '../../disk/durable.ts'
import { adopt } from '../../disk/ownership.ts'
import { systemCodeOf } from '../../errors.ts'
import { failureOf } from '../failure.ts'

/**
 * LevelDB's lock on a file is lost when its process merely opens and closes that file. Lockstep never touches these
 * files.
 */
const neverTouched = new Set(['LOCK', 'LOG', 'LOG.old'])

/** Size, mtime and inode of each database file. An open compares them with those recorded at the last close. */
export function fingerprint(ledger: string): Record<string, string> {
  const files: Record<string, string> = {}
  for (const name of databaseFiles(ledger)) {
    const stat = statSync(join(ledger, name), { bigint: true, throwIfNoEntry: false })
    if (stat !== undefined) files[name] = `${stat.size}:${stat.mtimeNs}:${stat.ino}`
  }
  return files
}

/** The size in bytes of LevelDB's write-ahead logs, which hold everything written since the last open. */
export function logBytes(ledger: string): number {
  const logs = databaseFiles(ledger).filter((name) => name.endsWith('.log'))
  return logs.reduce((sum, name) => sum + (statSync(join(ledger, name), { throwIfNoEntry: false })?.size ?? 0), 0)
}

/**
 * Keeps hard links to the database files before LevelDB opens them, because LevelDB deletes a damaged log during
 * recovery. If the files are suspect, the newest ones are copied, up to a size limit. With an older MANIFEST restored,
 * LevelDB reuses file numbers and overwrites existing files in place, including their hard links. Returns the folder.
 * Errors: LEDGER_UNAVAILABLE if a file that LevelDB may delete could not be kept.
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
      // The process that has the database open may be compacting it. The open that follows will find it busy.
      if (isAbsence(error) || isTable(name)) continue
      dropEvidence(folder)
      throw failureOf(`keeping a copy of ${name} before opening the ledger`, error)
    }
  }
  return folder
}

const copiedBytesMax = 64 * 1024 * 1024

/** Compaction deletes tables. Without hard links, a copy of all tables at each open would be too large. */
const isTable = (name: string) => /\.(?:ldb|sst)$/.test(name)

function linkOrCopy(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if (isAbsence(error) || isTable(from)) throw error
    copyFileSync(from, to)
  }
}

/** LevelDB needs free space for its recovery, so copies may use only part of it. */
function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

function numberOf(name: string): number {
  return Number(/\d+/.exec(name)?.[0] ?? Number.MAX_SAFE_INTEGER)
}

/** Returns false if there is no space for a copy. The caller then makes a hard link instead. */
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
 * Removes evidence left by processes that died while opening the ledger. Only the process that has the ledger open may
 * call this, because then no other process is opening it. Evidence of damage is kept.
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

/** The first copies are the most useful. Without a limit, a caller that keeps retrying would fill the disk. */
const sealedMax = 4

/**
 * Renames evidence of damage so that nothing removes it, and returns its path; that of an equal copy, if one is kept
 * already. If enough evidence is kept, and the database is as it was found (`isBack`), this folder is dropped, and
 * `earlier` is the oldest one.
 */
export function sealEvidence(
  folder: string,
  evidence: string,
  { isBack }: { isBack: boolean },
): { path: string } | { earlier: string } {
  const sealed = readdirSync(evidence).filter((name) => name.startsWith('damaged-'))
  const equal = isBack ? sealed.map((name) => join(evidence, name)).find((kept) => isCopyOf(kept, folder)) : undefined
  if (equal !== undefined) {
    dropEvidence(folder)
    return { path: equal }
  }
  if (isBack && sealed.length >= sealedMax) {
    dropEvidence(folder)
    return { earlier: join(evidence, oldestOf(sealed, evidence)) }
  }
  const path = join(evidence, `damaged-${basename(folder)}`)
  renameSync(folder, path)
  return { path }
}

/** Whether two folders have the same files: the same inodes, or short files with the same bytes. */
function isCopyOf(kept: string, folder: string): boolean {
  const names = readdirSync(folder).sort()
  if (readdirSync(kept).sort().join('/') !== names.join('/')) return false
  return names.every((name) => {
    const [one, other] = [join(kept, name), join(folder, name)]
    const [old, now] = [statSync(one), statSync(other)]
    if (old.ino === now.ino) return true
    return old.size === now.size && old.size <= comparedBytesMax && readFileSync(one).equals(readFileSync(other))
  })
}

const comparedBytesMax = 16 * 1024 * 1024

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

/** The names of the files that make up the database. LevelDB's lock file and its info logs are excluded. */
export function databaseFiles(ledger: string): string[] {
  const isData = (name: string) =>
    !neverTouched.has(name) && /^(?:CURRENT|MANIFEST-\d+|\d+\.(?:log|ldb|sst))$/.test(name)
  return namesIn(ledger).filter(isData).sort()
}

/** A missing folder counts as empty; the open that follows reports the error. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')) return []
    throw failureOf(`reading ${folder}`, error)
  }
}
