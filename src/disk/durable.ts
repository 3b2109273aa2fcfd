import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
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
import { given } from '../kernel/given.ts'
import { deniedByNode, isDeniedByNode } from './node-permissions.ts'
import { adopt, adoptOpened } from './ownership.ts'

/**
 * Replaces a whole file durably: writes and syncs a temporary file, renames it, and syncs the folder before it
 * resolves. The temporary file always has the same name, so the next try replaces what a crash left behind. Only one
 * write of a path may run at a time, unless `beside` names a different temporary file.
 */
export async function writeDurably(
  path: string,
  content: string | Uint8Array,
  mode = 0o644,
  beside = `${path}.tmp`,
): Promise<void> {
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

/**
 * Replaces a whole small file without a sync, for files that are only hints. Several processes may do so at the same
 * time.
 */
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
      // A leftover file only takes up space, and the next open removes it.
    }
    throw fileError(error, `writing ${path}`)
  }
}

/**
 * Removes the temporary files of processes that died while they replaced a file. The caller must have the ledger open,
 * so that no other process can be replacing these files.
 */
export function dropTemporaries(paths: readonly string[]): void {
  for (const path of paths) {
    for (const name of readdirSync(dirname(path))) {
      const replaced = /^(.+?)(?:\.[0-9a-f]+)?\.tmp$/.exec(name)?.[1]
      if (replaced === basename(path)) rmSync(join(dirname(path), name), { force: true, recursive: true })
    }
  }
}

/**
 * Makes the names in a folder durable. Some file systems cannot sync a folder; there, the rename alone must be enough.
 */
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
 * Makes a folder and its missing parents, and makes their names durable. Other users cannot write to them, whatever the
 * umask.
 */
export function makeFolder(path: string, mode = 0o755): void {
  try {
    const first = mkdirSync(path, { recursive: true, mode })
    if (first === undefined) return
    const made = [path]
    for (let at = path; at !== first; at = dirname(at)) made.push(dirname(at))
    // Works from the top down, so that each folder takes the owner of its parent.
    for (const folder of made.toReversed()) {
      adopt(folder)
      syncFolder(dirname(folder))
    }
  } catch (error) {
    throw fileError(error, `making ${path}`)
  }
}

/**
 * Makes the missing folders from `base`, which must exist, down to `path`, and makes their names durable. If `base` no
 * longer exists, for example because the ledger was moved away, nothing is made.
 * Errors: NOT_FOUND and others.
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

/** Makes a folder. Returns false if it already existed. */
function isMade(folder: string, mode: number): boolean {
  try {
    mkdirSync(folder, { mode })
    return true
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return false
    throw error
  }
}

async function writeNew(path: string, content: string | Uint8Array, mode: number): Promise<void> {
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

/** Whether an error means that a path does not exist, or that a parent in it is not a folder. */
export function isAbsence(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(systemCodeOf(error) ?? '')
}

/** Whether anything has this path, even a link that leads nowhere. If that cannot be known, the answer is yes. */
export function isThere(path: string): boolean {
  try {
    lstatSync(path)
    return true
  } catch (error) {
    return !isAbsence(error)
  }
}

/** Whether the operating system or Node's permission model threw this error. Otherwise it is a defect in Lockstep. */
export function isOfSystem(error: unknown): boolean {
  return isDeniedByNode(error) || (error instanceof Error && 'syscall' in error)
}

/** Converts an error of the operating system to a LockstepError. A LockstepError is returned unchanged. */
export function fileError(error: unknown, doing: string): LockstepError {
  if (error instanceof LockstepError) return error
  if (isDeniedByNode(error)) return deniedByNode(error, doing)
  const systemCode = systemCodeOf(error)
  const code = codeOfSystemError[systemCode ?? ''] ?? 'FILE_FAILED'
  const details = given({ system_code: systemCode })
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
