import { constants } from 'node:fs'
import { type FileHandle, link, lstat, open, readdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileError, syncFolder } from '../../disk/durable.ts'
import { adoptOpened } from '../../disk/ownership.ts'
import { openFlags, otherKind } from '../../disk/regular-file.ts'
import { type LockFile, lockFileName, parseLockFile } from '../../domain/lock/lock-file.ts'
import { LockstepError, systemCodeOf } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'

/**
 * The file operations of a deliverable lock (docs/explanation/lock-protocol.md). They are safe among processes of one
 * ledger: only the process that has it open performs them, one at a time per folder. A tool that does not share the
 * ledger is detected, not excluded. No file protocol is safe against a tool that recovers locks by unlinking.
 */

/** The file at a path, with everything that later steps compare. `content` is undefined if it is unreadable. */
export interface Seen {
  ino: bigint
  size: bigint
  mtimeNs: bigint
  text: string
  content: LockFile | undefined
}

/** The file at a path, or undefined if there is none. Errors: LOCK_PLACEMENT if it is not a plain file, FILE_DENIED. */
export async function inspect(path: string): Promise<Seen | undefined> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, openFlags)
    const stat = await handle.stat({ bigint: true })
    if (!stat.isFile()) throw notPlain(path, otherKind(stat) ?? 'is a folder')
    const { ino, mtimeNs, size } = stat
    if (size > BigInt(limits.lockFileBytes)) return { ino, mtimeNs, size, text: '', content: undefined }
    const text = await textOfHandle(handle, Number(size))
    return { ino, mtimeNs, size, text, content: parseLockFile(text) }
  } catch (error) {
    const code = systemCodeOf(error)
    if (code === 'ENOENT') return undefined
    if (code === 'ELOOP') throw notPlain(path, 'is a symbolic link')
    if (code === 'ENXIO') throw notPlain(path, 'is a socket or a device')
    throw fileError(error, `reading ${path}`)
  } finally {
    await handle?.close()
  }
}

/** A lock file that was put in place: its inode and its bytes. After an unlink, the inode alone proves nothing. */
export interface Claimed {
  ino: bigint
  text: string
}

/**
 * Puts a new lock file in place if there is none. It writes and syncs a temporary file, then links it. The claim
 * succeeds if the temporary file now has two links and the lock file has its inode, whatever link() returned. Returns
 * undefined if there is another lock file.
 * Errors: LINK_UNSUPPORTED, FILE_DENIED, FILE_READ_ONLY, DISK_FULL, FILE_FAILED.
 */
export async function claim(folder: string, lockRef: string, text: string): Promise<Claimed | undefined> {
  const temporary = join(folder, `${lockFileName}.${lockRef}.tmp`)
  const lock = join(folder, lockFileName)
  let ino: bigint | undefined
  try {
    await unlinkIfThere(temporary)
    ino = await writeNew(temporary, text)
    const refusal = await link(temporary, lock).then(
      () => undefined,
      (error: unknown) => error,
    )
    const code = systemCodeOf(refusal)
    if (
      code === 'ENOTSUP' ||
      code === 'EOPNOTSUPP' ||
      code === 'ENOSYS' ||
      (code === 'EPERM' && !(await exists(lock)))
    ) {
      throw new LockstepError('LINK_UNSUPPORTED', `the file system of ${folder} has no hard links`, {
        hint: 'Lock a folder on another file system, or use a resource lock. "lockstep doctor" checks for hard links.',
        cause: refusal,
      })
    }
    if (refusal !== undefined && code !== 'EEXIST') throw refusal
    const mine = await lstat(temporary, { bigint: true })
    const theirs = await lstat(lock, { bigint: true }).catch(() => undefined)
    const isWon = mine.nlink === 2n && theirs?.ino === mine.ino
    await unlinkIfThere(temporary).catch(() => {})
    if (isWon) syncFolder(folder)
    return isWon ? { ino: mine.ino, text } : undefined
  } catch (error) {
    // If the claim may not be durable, it is withdrawn. Nothing depends on it yet.
    if (ino !== undefined) await unlinkIfStill(lock, ino)
    throw fileError(error, `claiming ${lock}`)
  } finally {
    await unlinkIfThere(temporary).catch(() => {})
  }
}

async function unlinkIfStill(path: string, ino: bigint): Promise<void> {
  try {
    if ((await inodeIfThere(path)) === ino) await unlink(path)
  } catch {
    // The folder's note names the file, and the next open removes it.
  }
}

/** The inode of the file at a path, or undefined. Errors: FILE_DENIED, FILE_FAILED. */
export async function inodeIfThere(path: string): Promise<bigint | undefined> {
  try {
    return (await lstat(path, { bigint: true })).ino
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw fileError(error, `examining ${path}`)
  }
}

/**
 * Rewrites a lock file in place: a single write of the same length, to a descriptor of the judged file. Returns false
 * if the path does not, or no longer, lead to that file. While the descriptor is open, no other file gets its inode, so
 * the last comparison is reliable.
 */
export async function rewrite(path: string, judged: Seen, text: string): Promise<boolean> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const { ino, size } = await handle.stat({ bigint: true })
    const bytes = Buffer.from(text)
    if (ino !== judged.ino || size !== BigInt(bytes.length)) return false
    if ((await textOfHandle(handle, bytes.length)) !== judged.text) return false
    const { bytesWritten } = await handle.write(bytes, 0, bytes.length, 0)
    if (bytesWritten !== bytes.length) throw new Error(`only ${bytesWritten} of ${bytes.length} bytes were written`)
    await handle.sync()
    return (await lstat(path, { bigint: true })).ino === ino
  } catch (error) {
    if (['ELOOP', 'ENOENT'].includes(systemCodeOf(error) ?? '')) return false
    throw fileError(error, `renewing ${path}`)
  } finally {
    await handle?.close()
  }
}

/**
 * Whether the file at a path is still the claimed one. A new file often gets the inode of the file that it replaces, so
 * the bytes, which contain the lock_ref, are compared too. A file that cannot be read now (EIO, EMFILE) counts as the
 * claimed one.
 */
export async function isStill(path: string, { ino, text }: Claimed): Promise<boolean> {
  try {
    const seen = await inspect(path)
    return seen !== undefined && seen.ino === ino && seen.text === text
  } catch (error) {
    return !(error instanceof LockstepError && error.code === 'LOCK_PLACEMENT')
  }
}

/** Files that a crash may have left beside the lock file: temporary files to delete, and files set aside to examine. */
export async function debrisIn(folder: string): Promise<{ temporaries: string[]; asides: string[] }> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw fileError(error, `reading ${folder}`)
  })
  const paths = (pattern: RegExp) => names.filter((name) => pattern.test(name)).map((name) => join(folder, name))
  return { temporaries: paths(/^\.lock\.[0-9a-f]{16}\.tmp$/), asides: paths(/^\.lock\.aside\.[A-Za-z0-9_-]+$/) }
}

/** Reads a file up to its expected size, plus one byte to detect growth. */
async function textOfHandle(handle: FileHandle, size: number): Promise<string> {
  const bytes = Buffer.allocUnsafe(size + 1)
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
  return bytes.toString('utf8', 0, bytesRead)
}

/** Writes a new file, synced, and returns its inode. */
async function writeNew(path: string, text: string): Promise<bigint> {
  const handle = await open(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o644,
  )
  try {
    // Whatever the umask, other users may read who holds the lock.
    await handle.chmod(0o644)
    adoptOpened(handle.fd, dirname(path))
    await handle.writeFile(text)
    await handle.sync()
    return (await handle.stat({ bigint: true })).ino
  } finally {
    await handle.close()
  }
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

/** Removes a file if it exists. Errors: those of the system. */
export async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (systemCodeOf(error) !== 'ENOENT') throw error
  })
}

function notPlain(path: string, is: string): LockstepError {
  return new LockstepError('LOCK_PLACEMENT', `${path} ${is}, not a plain file`, {
    hint: 'Lockstep does not use a link, folder or device in place of a lock file. Remove it by hand.',
  })
}
