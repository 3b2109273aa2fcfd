import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  readdirSync,
  statSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

// Root may work in another user's folder. Files that it makes there get the owner of their folder, so that this user
// can change and remove them. Other users cannot give files away, so nothing is done for them.

/** Gives an open file that this process has just made to the owner of its folder. Errors: those of the system. */
export function adoptOpened(descriptor: number, folder: string): void {
  const owner = otherOwnerOf(folder)
  if (owner !== undefined) fchownSync(descriptor, owner.uid, owner.gid)
}

/**
 * Gives a file, folder or link that this process has just made to the owner of its folder. A file with several names
 * keeps its owner, because another name may belong to anyone.
 * Errors: those of the system.
 */
export function adopt(path: string): void {
  const owner = otherOwnerOf(dirname(path))
  if (owner === undefined) return
  if (lstatSync(path).isSymbolicLink()) {
    lchownSync(path, owner.uid, owner.gid)
    return
  }
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(descriptor)
    const isOurs = stat.uid === 0 && (stat.isDirectory() || (stat.isFile() && stat.nlink === 1))
    if (isOurs) fchownSync(descriptor, owner.uid, owner.gid)
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Gives files to the owner of their folder if their names match and they were made since a given time. This is for
 * files made by a library, such as LevelDB. An older file may be one of root's that a user moved there to become its
 * owner, so it is left alone. Failures are ignored: the owner of the folder can still read and remove the files.
 */
export function adoptMadeSince(folder: string, sinceMillis: number, names: RegExp): void {
  try {
    if (otherOwnerOf(folder) === undefined) return
    for (const name of readdirSync(folder).filter((found) => names.test(found))) {
      if (lstatSync(join(folder, name)).birthtimeMs >= sinceMillis) adopt(join(folder, name))
    }
  } catch {}
}

/**
 * Gives a folder and its content to the owner of the parent folder. This process must have made all of it, and no other
 * user may have access yet.
 */
export function adoptTree(path: string): void {
  const owner = otherOwnerOf(dirname(path))
  if (owner === undefined) return
  const give = (at: string) => {
    if (lstatSync(at).isDirectory()) for (const name of readdirSync(at)) give(join(at, name))
    lchownSync(at, owner.uid, owner.gid)
  }
  give(path)
}

/** The owner of a folder, if it is another user and this process runs as root. */
function otherOwnerOf(folder: string): { uid: number; gid: number } | undefined {
  if (process.geteuid?.() !== 0) return undefined
  const { gid, uid } = statSync(folder)
  return uid === 0 ? undefined : { gid, uid }
}
