import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { LockstepError, messageOf, systemCodeOf } from '../errors.ts'

/** Replaces a file whole: written beside, synced, renamed, and the folder synced, before it resolves. */
export async function writeDurably(path: string, content: string, mode = 0o644): Promise<void> {
  try {
    await writeFileAtomic(path, content, { mode, fsync: true })
    syncFolder(dirname(path))
  } catch (error) {
    throw fileError(error, `writing ${path}`)
  }
}

/** Replaces a small file whole, for hints that need no sync. */
export function replaceFile(path: string, content: string): void {
  const beside = `${path}.${process.pid}.tmp`
  writeFileSync(beside, content, { mode: 0o600 })
  renameSync(beside, path)
}

/** Makes the names in a folder durable. Some file systems refuse to sync a folder; then the rename must do. */
export function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } catch (error) {
    if (!['EINVAL', 'EPERM', 'ENOTSUP'].includes(systemCodeOf(error) ?? '')) throw error
  } finally {
    closeSync(descriptor)
  }
}

export function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/** The text of a file, or undefined if there is none. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw fileError(error, `reading ${path}`)
  }
}

/** An error of the operating system as one of ours; what is one of ours already stays. */
export function fileError(error: unknown, doing: string): LockstepError {
  if (error instanceof LockstepError) return error
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
