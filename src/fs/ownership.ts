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

// Root may work in a folder of somebody else. What it makes there takes the owner of the folder that it is in, so that
// nothing is left that its user cannot change or remove. Nobody else can give files away, and nothing is done for them.

/** Gives an open file that this process has just made to the owner of its folder. Errors: those of the system. */
export function adoptOpened(descriptor: number, folder: string): void {
  const owner = otherOwnerOf(folder)
  if (owner !== undefined) fchownSync(descriptor, owner.uid, owner.gid)
}

/**
 * Gives the file, folder or link at a path that this process has just made to the owner of its folder. A file with
 * several names stays as it is: one of them may be anybody's. Errors: those of the system.
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
 * Gives what has such a name and was made in a folder since a moment to the folder's owner: files that a library of ours made, as LevelDB
 * does. What is older may be a file of root's that its user moved there to be given it. Best effort: a file of root's
 * that stays can be read and removed by the owner of the folder.
 */
export function adoptMadeSince(folder: string, sinceMillis: number, names: RegExp): void {
  try {
    if (otherOwnerOf(folder) === undefined) return
    for (const name of readdirSync(folder).filter((found) => names.test(found))) {
      if (lstatSync(join(folder, name)).birthtimeMs >= sinceMillis) adopt(join(folder, name))
    }
  } catch {}
}

/** Gives a folder and all that is in it, made by this process and not open to others yet, to the owner of its folder. */
export function adoptTree(path: string): void {
  const owner = otherOwnerOf(dirname(path))
  if (owner === undefined) return
  const give = (at: string) => {
    if (lstatSync(at).isDirectory()) for (const name of readdirSync(at)) give(join(at, name))
    lchownSync(at, owner.uid, owner.gid)
  }
  give(path)
}

/** The owner of a folder where that is another user than this one, which is root. */
function otherOwnerOf(folder: string): { uid: number; gid: number } | undefined {
  if (process.geteuid?.() !== 0) return undefined
  const { gid, uid } = statSync(folder)
  return uid === 0 ? undefined : { gid, uid }
}
