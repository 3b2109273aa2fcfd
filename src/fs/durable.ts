import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { LockstepError, messageOf, systemCodeOf } from '../errors.ts'
import { deniedByNode, isDeniedByNode } from './node-permissions.ts'
import { adopt, adoptOpened } from './ownership.ts'

/**
 * Replaces a file whole: written beside and synced, renamed, and the folder synced, before it resolves. The file
 * beside has one name for ever, so the next try takes over what a crash left of it. One write of a path at a time, unless
 * another file beside is named.
 */
export async function writeDurably(path: string, content: string, mode = 0o644, beside = `${path}.tmp`): Promise<void> {
  try {
    await rm(beside, { force: true })
    await writeNew(beside, content, mode)
    await rename(beside, path)
    syncFolder(dirname(path))
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {})
    throw fileError(error, `writing ${path}`)
  }
}

/** Replaces a small file whole, for hints that need no sync. Several processes may do so at once. */
export function replaceFile(path: string, content: string): void {
  const beside = `${path}.${randomBytes(8).toString('hex')}.tmp`
  try {
    writeFileSync(beside, content, { mode: 0o600, flag: 'wx' })
    adopt(beside)
    renameSync(beside, path)
  } catch (error) {
    try {
      rmSync(beside, { force: true })
    } catch {
      // What stays takes space and nothing else; the next open removes it.
    }
    throw fileError(error, `writing ${path}`)
  }
}

/**
 * Removes what processes left beside files that died while they replaced them. Only for files that no other process can
 * be replacing now: the caller has the ledger open, and nobody else writes them.
 */
export function dropTemporaries(paths: readonly string[]): void {
  for (const path of paths) {
    for (const name of readdirSync(dirname(path))) {
      const replaced = /^(.+?)(?:\.[0-9a-f]+)?\.tmp$/.exec(name)?.[1]
      if (replaced === basename(path)) rmSync(join(dirname(path), name), { force: true, recursive: true })
    }
  }
}

/** Makes the names in a folder durable. Some file systems refuse to sync a folder; then the rename must do. */
export function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } catch (error) {
    if (isDeniedByNode(error)) throw deniedByNode(error, `syncing ${path}`)
    if (!['EINVAL', 'EPERM', 'ENOTSUP'].includes(systemCodeOf(error) ?? '')) throw error
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Makes a folder and those above it that are missing, and their names durable. Nobody else may write in them, whatever
 * the umask is.
 */
export function makeFolder(path: string, mode = 0o755): void {
  try {
    const first = mkdirSync(path, { recursive: true, mode })
    if (first === undefined) return
    const made = [path]
    for (let at = path; at !== first; at = dirname(at)) made.push(dirname(at))
    // From the top down, so that each takes the owner of the one above.
    for (const folder of made.toReversed()) {
      adopt(folder)
      syncFolder(dirname(folder))
    }
  } catch (error) {
    throw fileError(error, `making ${path}`)
  }
}

/**
 * Makes the folders that lead from one that is there already to another below it, and their names durable. Where the
 * first is gone, a ledger that was moved away for one, nothing is made in its place. Errors: NOT_FOUND and others.
 */
export function makeFolderBelow(base: string, path: string, mode: number): void {
  const missing: string[] = []
  for (let at = path; at !== base && at !== dirname(at); at = dirname(at)) missing.push(at)
  try {
    for (const folder of missing.toReversed()) {
      if (!isMade(folder, mode)) continue
      adopt(folder)
      syncFolder(dirname(folder))
    }
  } catch (error) {
    throw fileError(error, `making ${path}`)
  }
}

/** False where it was there. */
function isMade(folder: string, mode: number): boolean {
  try {
    mkdirSync(folder, { mode })
    return true
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function writeNew(path: string, content: string, mode: number): Promise<void> {
  const handle = await open(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    mode,
  )
  try {
    adoptOpened(handle.fd, dirname(path))
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Whether an error says that nothing is there, or that what should be a folder on the way is none. */
export function isAbsence(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')
}

/** Whether something was thrown by the operating system, or by Node's permission model, and is no defect of ours. */
export function isOfSystem(error: unknown): boolean {
  return isDeniedByNode(error) || (error instanceof Error && 'syscall' in error)
}

/** An error of the operating system as one of ours; what is one of ours already stays. */
export function fileError(error: unknown, doing: string): LockstepError {
  if (error instanceof LockstepError) return error
  if (isDeniedByNode(error)) return deniedByNode(error, doing)
  const systemCode = systemCodeOf(error)
  const code = codeOfSystemError[systemCode ?? ''] ?? 'FILE_FAILED'
  const details = systemCode === undefined ? {} : { system_code: systemCode }
  return new LockstepError(code, `${doing}: ${messageOf(error)}`, { details, cause: error })
}

const codeOfSystemError: Record<string, 'DISK_FULL' | 'FILE_DENIED' | 'FILE_READ_ONLY' | 'NOT_FOUND'> = {
  EACCES: 'FILE_DENIED',
  EDQUOT: 'DISK_FULL',
  ENOENT: 'NOT_FOUND',
  ENOSPC: 'DISK_FULL',
  EPERM: 'FILE_DENIED',
  EROFS: 'FILE_READ_ONLY',
}
