import { readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, relative, sep } from 'node:path'
import { fileError, isAbsence, isThere, makeFolder, writeDurably } from '../../disk/durable.ts'
import { readRegularFile } from '../../disk/regular-file.ts'
import {
  parseRunLock,
  type ReadRunLock,
  type RunLock,
  runLockFileName,
  runLockText,
} from '../../domain/lock/run-lock-file.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'
import { canonicalText, type Json } from '../../kernel/canonical.ts'
import type { Config } from '../../kernel/config.ts'
import { erasedText } from '../../kernel/free-text.ts'
import { limits } from '../../kernel/limits.ts'

/** A RUN_LOCK.json file that was found. `content` is undefined if it cannot be parsed. */
export interface FoundRunLock {
  path: string
  /** The name of the folder that contains it. */
  run_id: string
  content: ReadRunLock | undefined
  /** Undefined if the file cannot be read, or says something else. */
  status: RunLock['status'] | undefined
  text: string
}

/**
 * All RUN_LOCK.json files in the root's runs directories and those of its project folders.
 * Errors: FILE_DENIED and others if a directory cannot be read, because a lock could be hidden there.
 */
export function findRunLocks(root: string, config: Config): FoundRunLock[] {
  return runsDirectories(root, config).flatMap((runs) =>
    subfolders(runs).flatMap((runId) => readRunLock(join(runs, runId, runLockFileName)) ?? []),
  )
}

/** The file at a path, or undefined if there is none. An unreadable file counts as a lock without content. */
export function readRunLock(path: string): FoundRunLock | undefined {
  const found = { path, run_id: basename(dirname(path)) }
  try {
    const read = readRegularFile(path, limits.lockFileBytes)
    if (read === undefined) return undefined
    const text = 'bytes' in read ? read.bytes.toString('utf8') : ''
    return { ...found, ...parseRunLock(text), text }
  } catch (error) {
    if (error instanceof LockstepError && isAbsence(error.cause)) return undefined
    return { ...found, content: undefined, status: undefined, text: '' }
  }
}

/** The path of a run's file: in the project folder that already has it, otherwise in the root's own runs directory. */
export function runLockPath(root: string, config: Config, runId: string): string {
  const candidates = runsDirectories(root, config).map((runs) => join(runs, runId, runLockFileName))
  return candidates.find(isThere) ?? join(root, config.runs_dir, runId, runLockFileName)
}

/** The words of the project folder that a run's file is in: client, type and slug; undefined for `runs_dir`. */
export function projectFolderOf(path: string, root: string): string[] | undefined {
  const parts = relative(root, path).split(sep)
  return parts.length === 8 && parts[0] === 'projects' ? parts.slice(1, 4) : undefined
}

/** Whether a path is a valid place for a run's file: directly in a run's folder in one of the runs directories. */
export function isRunLockPath(path: string, root: string, config: Config): boolean {
  return basename(path) === runLockFileName && runsDirectories(root, config).includes(dirname(dirname(path)))
}

/** Whether a file has the members that the ledger gives it, in any order. It may still have a reason that was erased. */
export function isSameRunLock(found: ReadRunLock, expected: RunLock): boolean {
  const isErased = expected.lock_reason === erasedText
  const read = isErased ? { ...found, lock_reason: erasedText } : found
  return canonicalText(read as Json) === canonicalText(expected as Json)
}

/** Errors: FILE_DENIED, FILE_READ_ONLY, DISK_FULL, FILE_FAILED. */
export async function writeRunLock(path: string, file: RunLock): Promise<void> {
  makeFolder(dirname(path))
  await writeDurably(path, runLockText(file))
}

/** `runs_dir`, and `projects/<client>/<type>/<slug>/runtime/runs`. */
function runsDirectories(root: string, config: Config): string[] {
  const projects = join(root, 'projects')
  const inProjects = subfolders(projects).flatMap((client) =>
    subfolders(join(projects, client)).flatMap((type) =>
      subfolders(join(projects, client, type)).map((slug) => join(projects, client, type, slug, 'runtime', 'runs')),
    ),
  )
  return [join(root, config.runs_dir), ...inProjects]
}

/** The names of the subfolders, including links to folders; empty if the folder is missing. */
function subfolders(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory() || (entry.isSymbolicLink() && isFolder(join(folder, entry.name))))
      .map((entry) => entry.name)
      .sort()
  } catch (error) {
    if (isAbsence(error)) return []
    throw fileError(error, `reading ${folder}`)
  }
}

/** Follows links. A link that leads nowhere or in a circle is not a folder. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory()
  } catch (error) {
    if (isAbsence(error) || systemCodeOf(error) === 'ELOOP') return false
    throw error
  }
}
