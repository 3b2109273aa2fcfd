import { constants } from 'node:fs'
import { type FileHandle, link, lstat, open, readdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { limits } from '../core/limits.ts'
import { type LockFile, lockFileName, parseLockFile } from '../core/lock/lock-file.ts'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { fileError, syncFolder } from './durable.ts'
import { adoptOpened } from './ownership.ts'
import { openFlags, otherKind } from './regular-file.ts'

/**
 * The file steps of a deliverable lock (locks.md). They are safe among processes of one ledger because only the
 * one that has it open takes them, one at a time per folder. A tool that does not share the ledger is detected,
 * not excluded: against one that recovers by unlinking, no protocol of files is safe.
 */

/** What stands at a path, as precisely as later steps compare it. `content` is undefined where it is unreadable. */
export interface Seen {
  ino: bigint
  size: bigint
  mtimeNs: bigint
  text: string
  content: LockFile | undefined
}

/** The file at a path, or undefined if there is none. Errors: LOCK_PLACEMENT where it is no plain file, FILE_DENIED. */
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

/** A lock file put in place: its inode and its bytes. The inode alone proves nothing once the file was unlinked. */
export interface Claimed {
  ino: bigint
  text: string
}

/**
 * Puts a new lock file in place, if none is there: written and synced beside, linked, won iff the temporary now
 * has two links and the lock its inode, whatever link() said. Returns undefined if another is there.
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
        hint: 'Lock something on another file system, or use a resource lock. "lockstep doctor" checks this.',
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
    // A claim that is not known to be durable is none: nothing was asked for under it yet.
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
    // The folder's note names it, and the next open removes it.
  }
}

/** The inode of what stands at a path, or undefined. Errors: FILE_DENIED, FILE_FAILED. */
export async function inodeIfThere(path: string): Promise<bigint | undefined> {
  try {
    return (await lstat(path, { bigint: true })).ino
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined
    throw fileError(error, `looking at ${path}`)
  }
}

/**
 * Rewrites a lock file in place: one write of the same length, on a descriptor of the very file that was judged.
 * False where that file is not, or no longer, the one at the path. While the descriptor is open its inode is not
 * given to another file, so the last look is certain.
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
 * Whether the file at a path still is the claimed one. An unlinked file's inode is given to the next file that is
 * made, often to the very one that took its place, so the bytes, which hold the lock_ref, are compared as well. A file
 * that cannot be read just now (EIO, EMFILE) is not known to be another's, so it counts as the claimed one.
 */
export async function isStill(path: string, { ino, text }: Claimed): Promise<boolean> {
  try {
    const seen = await inspect(path)
    return seen !== undefined && seen.ino === ino && seen.text === text
  } catch (error) {
    return !(error instanceof LockstepError && error.code === 'LOCK_PLACEMENT')
  }
}

/** What a crash may have left beside the lock file: temporaries to delete, asides to judge. */
export async function debrisIn(folder: string): Promise<{ temporaries: string[]; asides: string[] }> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw fileError(error, `reading ${folder}`)
  })
  const paths = (pattern: RegExp) => names.filter((name) => pattern.test(name)).map((name) => join(folder, name))
  return { temporaries: paths(/^\.lock\.[0-9a-f]{16}\.tmp$/), asides: paths(/^\.lock\.aside\.[A-Za-z0-9_-]+$/) }
}

/** What a file holds of the size that it had, and one byte more where it grows. */
async function textOfHandle(handle: FileHandle, size: number): Promise<string> {
  const bytes = Buffer.allocUnsafe(size + 1)
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
  return bytes.toString('utf8', 0, bytesRead)
}

/** Writes a new file, synced; its inode. */
async function writeNew(path: string, text: string): Promise<bigint> {
  const handle = await open(
    path,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o644,
  )
  try {
    // Whatever the umask: other users may read who holds the lock.
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

/** Removes a file; whether it was there makes no difference. Errors: those of the system. */
export async function unlinkIfThere(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (systemCodeOf(error) !== 'ENOENT') throw error
  })
}

function notPlain(path: string, is: string): LockstepError {
  return new LockstepError('LOCK_PLACEMENT', `${path} ${is}, not a plain file`, {
    hint: 'A symbolic link, folder or device in the lock’s place is never followed; remove it by hand.',
  })
}
