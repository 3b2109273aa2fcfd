import { existsSync, readdirSync } from 'node:fs'
import { basename, join, relative, resolve, sep } from 'node:path'
import type { Config } from '../core/config.ts'
import { lockFileName } from '../core/lock/lock-file.ts'
import { deliverableIdOf } from '../core/lock/names.ts'
import { LockstepError } from '../errors.ts'
import { fileError } from './durable.ts'
import { findRoot, realFolder } from './layout.ts'

/** A deliverable folder and the lock it has: real path, path below the root, id and name. */
export interface DeliverableFolder {
  path: string
  folder: string
  deliverable_id: string
  name: string
  lock: string
}

/**
 * The lock of a deliverable folder: it exists, this root's ledger is the one that governs it, and its name begins
 * with an id. Errors: NOT_FOUND, INVALID_INPUT, FILE_DENIED, LOCK_PLACEMENT.
 */
export function deliverableFolder(path: string, root: string, config: Config): DeliverableFolder {
  const real = realFolder(path)
  const governing = findRoot(real)
  if (governing !== root) {
    throw new LockstepError('LOCK_PLACEMENT', `${real} is not governed by the ledger of ${root}`, {
      details: { folder: real, root, governing_root: governing ?? null },
      hint: governing === undefined ? 'Lock folders below the root only.' : `Use --dir ${governing}.`,
    })
  }
  const id = deliverableIdOf(basename(real))
  if (id === undefined || real === root) {
    throw new LockstepError('LOCK_PLACEMENT', `the name of ${real} does not begin with a deliverable id`, {
      details: { folder: real },
      hint: 'A deliverable folder is named like DEL-08-05_Title or KTY-A1-B2_Title.',
    })
  }
  refuseCaseTwin(real)
  return describe(real, id, root, config)
}

/** A folder that is not there any more, as its path names it; undefined where it exists or names no deliverable. */
export function vanishedFolder(path: string, root: string, config: Config): DeliverableFolder | undefined {
  const absolute = resolve(path)
  const id = deliverableIdOf(basename(absolute))
  if (id === undefined || existsSync(absolute) || !absolute.startsWith(`${root}${sep}`)) return undefined
  return describe(absolute, id, root, config)
}

function describe(path: string, id: string, root: string, config: Config): DeliverableFolder {
  const folder = relative(root, path).split(sep).join('/')
  const prefix = executionRootOf(folder, config)
  const name = `deliverable:${prefix === undefined ? '' : `${prefix}/`}${id}`
  return { path, folder, deliverable_id: id, name, lock: join(path, lockFileName) }
}

/** The prefix of the longest execution root that a folder lies in. */
function executionRootOf(folder: string, config: Config): string | undefined {
  const roots = Object.entries(config.execution_roots).filter(
    ([root]) => folder === root || folder.startsWith(`${root}/`),
  )
  return roots.sort(([left], [right]) => right.length - left.length)[0]?.[1]
}

/** On a file system that ignores case a `.LOCK` is the lock file's double; elsewhere it is a trap for people. */
function refuseCaseTwin(folder: string): void {
  const twin = namesIn(folder).find((name) => name !== lockFileName && name.toLowerCase() === lockFileName)
  if (twin === undefined) return
  throw new LockstepError('LOCK_PLACEMENT', `${join(folder, twin)} differs from ${lockFileName} only in case`, {
    hint: 'Remove it; one folder has one lock file.',
  })
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    throw fileError(error, `reading ${folder}`)
  }
}
