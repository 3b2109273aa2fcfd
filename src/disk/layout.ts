import { lstatSync, realpathSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { LockstepError, systemCodeOf } from '../errors.ts'
import { fileError } from './durable.ts'
import { worktreeAround } from './worktree.ts'

/** The paths of everything that Lockstep owns below a root. */
export interface Layout {
  root: string
  home: string
  /** Lock files of other tools that were moved out of the way, by their SHA-256. */
  aside: string
  ledger: string
  evidence: string
  snapshots: string
  exports: string
  asked: string
  guard: string
  head: string
  owner: string
  place: string
  key: string
  /** The private key that was added last, until the key before it is retired. */
  nextKey: string
  guardSecret: string
  /** What sessions of coding agents hold by their hooks. */
  hooks: string
  vkey: string
  config: string
  /** The database that has the ledger, if it is not in files. */
  engine: string
  /** The head of the files that the ledger had left when it went to a database. */
  leftHead: string
  claims: string
  /** Checkpoints that witnesses cosigned, by size. */
  cosigned: string
  /** The checkpoint that proves that the ledger has two histories. */
  forked: string
  policy: string
  staging: string
  uploads: string
  /** The Unix socket of the service, and the file that names the socket if this path is too long for one. */
  socket: string
  socketName: string
}

export const homeName = '.lockstep'

/** The home folder is elsewhere only while a ledger is being made. */
export function layoutOf(root: string, home = join(root, homeName)): Layout {
  return {
    root,
    home,
    aside: join(home, 'aside'),
    ledger: join(home, 'ledger'),
    evidence: join(home, 'evidence'),
    snapshots: join(home, 'snapshots'),
    exports: join(home, 'exports'),
    asked: join(home, 'asked'),
    guard: join(home, 'guard'),
    head: join(home, 'head'),
    owner: join(home, 'owner'),
    place: join(home, 'place'),
    key: join(home, 'key'),
    nextKey: join(home, 'key.next'),
    guardSecret: join(home, 'guard.secret'),
    hooks: join(home, 'hooks'),
    vkey: join(home, 'key.pub'),
    config: join(home, 'config.json'),
    engine: join(home, 'engine.json'),
    leftHead: join(home, 'head.left'),
    claims: join(home, 'claims'),
    cosigned: join(home, 'cosigned'),
    forked: join(home, 'forked'),
    policy: join(home, 'policy'),
    staging: join(home, 'staging'),
    uploads: join(home, 'uploads'),
    socket: join(home, 'service.sock'),
    socketName: join(home, 'socket'),
  }
}

/**
 * The innermost folder at or above `from` that contains `.lockstep`, as Git finds `.git`; undefined if there is none.
 */
export function findRoot(from: string): string | undefined {
  return ledgerAbove(realFolder(from))
}

/** The same for a real path, which need not exist. */
export function ledgerAbove(path: string): string | undefined {
  for (let folder = path; ; folder = dirname(folder)) {
    if (isFolder(join(folder, homeName))) return folder
    if (folder === dirname(folder)) return undefined
  }
}

/**
 * The root of the ledger that governs a folder. In a linked worktree of Git without a ledger above it, it is that of the
 * main worktree: one ledger serves all worktrees of a repository.
 */
export function governingRoot(from: string): string | undefined {
  const folder = realFolder(from)
  const root = ledgerAbove(folder)
  if (root !== undefined) return root
  const main = worktreeAround(folder)?.main
  return main === undefined ? undefined : ledgerAbove(main)
}

/** The layout of the ledger that governs a folder. File permissions are not checked. Errors: NO_LEDGER. */
export function findLayout(from: string): Layout {
  const root = governingRoot(from)
  if (root === undefined) throw noLedger(from)
  return layoutOf(root)
}

/** NO_LEDGER for a folder that no ledger governs. */
export function noLedger(from: string): LockstepError {
  return new LockstepError('NO_LEDGER', `no ledger governs ${resolve(from)}`, {
    details: { dir: resolve(from) },
    hint: 'Run "lockstep init" in the folder that the ledger should govern, or name a folder of a ledger in `dir`.',
  })
}

/** The real path of an existing folder. Errors: NOT_FOUND, FILE_DENIED, INVALID_INPUT. */
export function realFolder(path: string): string {
  let real: string
  try {
    real = realpathSync(path)
  } catch (cause) {
    if (['EACCES', 'EPERM'].includes(systemCodeOf(cause) ?? '')) throw fileError(cause, `finding ${path}`)
    throw new LockstepError('NOT_FOUND', `the folder ${resolve(path)} does not exist`, {
      details: { dir: resolve(path) },
      cause,
    })
  }
  if (!statSync(real).isDirectory()) throw new LockstepError('INVALID_INPUT', `${real} is not a folder`)
  return real
}

/** Whether the file system of a ledger's root ignores case in names. */
export function ignoresCase(root: string): boolean {
  const [own, twin] = [homeName, homeName.toUpperCase()].map((name) =>
    lstatSync(join(root, name), { bigint: true, throwIfNoEntry: false }),
  )
  return own !== undefined && own.ino === twin?.ino
}

function isFolder(path: string): boolean {
  try {
    return lstatSync(path).isDirectory()
  } catch {
    return false
  }
}
