import { existsSync, readdirSync } from 'node:fs'
import { basename, join, relative, resolve, sep } from 'node:path'
import { fileError } from '../../disk/durable.ts'
import { findRoot, homeName, realFolder } from '../../disk/layout.ts'
import { lockFileName } from '../../domain/lock/lock-file.ts'
import { deliverableIdOf } from '../../domain/lock/names.ts'
import { LockstepError } from '../../errors.ts'
import type { Config } from '../../kernel/config.ts'

/** A deliverable folder and its lock: the real path, the path below the root, the id and the lock's name. */
export interface DeliverableFolder {
  path: string
  folder: string
  deliverable_id: string
  name: string
  lock: string
}

/**
 * The lock of a deliverable folder. The folder must exist, this root's ledger must govern it, and its name must begin
 * with an id.
 * Errors: NOT_FOUND, INVALID_INPUT, FILE_DENIED, LOCK_PLACEMENT.
 */
export function deliverableFolder(path: string, root: string, config: Config): DeliverableFolder {
  const real = realFolder(path)
  const governing = findRoot(real)
  if (governing !== root) {
    throw new LockstepError('LOCK_PLACEMENT', `${real} is not governed by the ledger of ${root}`, {
      details: { folder: real, root, governing_root: governing ?? null },
      hint:
        governing === undefined
          ? 'Only folders below the root can be locked.'
          : `The ledger of ${governing} governs it: name that folder in \`dir\`.`,
    })
  }
  const id = deliverableIdOf(basename(real))
  if (id === undefined || real === root) {
    throw new LockstepError('LOCK_PLACEMENT', `the name of ${real} does not begin with a deliverable id`, {
      details: { folder: real },
      hint: 'The name of a deliverable folder looks like DEL-08-05_Title or KTY-A1-B2_Title.',
    })
  }
  if (isInHome(relative(root, real))) {
    throw new LockstepError('LOCK_PLACEMENT', `${real} is in the ledger’s own folder`, { details: { folder: real } })
  }
  refuseCaseTwin(real)
  return describe(real, id, root, config)
}

/**
 * The deliverable folder that a path names but that no longer exists. Undefined if it exists or the path names no
 * deliverable.
 */
export function vanishedFolder(path: string, root: string, config: Config): DeliverableFolder | undefined {
  const absolute = resolve(path)
  const id = deliverableIdOf(basename(absolute))
  if (id === undefined || existsSync(absolute) || !absolute.startsWith(`${root}${sep}`)) return undefined
  if (isInHome(relative(root, absolute))) return undefined
  return describe(absolute, id, root, config)
}

/** Whether a path leads into a `.lockstep`, in whatever case: some file systems ignore it. */
function isInHome(folder: string): boolean {
  return folder.split(sep).some((part) => part.toLowerCase() === homeName)
}

/** The lock of a folder with this id, without the checks. */
export function describe(path: string, id: string, root: string, config: Config): DeliverableFolder {
  const folder = relative(root, path).split(sep).join('/')
  const prefix = executionRootOf(folder, config)
  const name = `deliverable:${prefix === undefined ? '' : `${prefix}/`}${id}`
  return { path, folder, deliverable_id: id, name, lock: join(path, lockFileName) }
}

/** The prefix of the innermost execution root that contains a folder. */
function executionRootOf(folder: string, config: Config): string | undefined {
  const roots = Object.entries(config.execution_roots).filter(
    ([root]) => folder === root || folder.startsWith(`${root}/`),
  )
  return roots.sort(([left], [right]) => right.length - left.length)[0]?.[1]
}

/**
 * On a case-insensitive file system, `.LOCK` and the lock file are the same file. Elsewhere such a name misleads
 * people.
 */
function refuseCaseTwin(folder: string): void {
  const twin = namesIn(folder).find((name) => name !== lockFileName && name.toLowerCase() === lockFileName)
  if (twin === undefined) return
  throw new LockstepError('LOCK_PLACEMENT', `${join(folder, twin)} differs from ${lockFileName} only in case`, {
    hint: 'Remove it: a folder has only one lock file.',
  })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    throw fileError(error, `reading ${folder}`)
  }
}
