import { lstatSync, mkdtempSync, readdirSync, rmdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { acceptsPermissions } from './config-file.ts'
import { fileError } from './durable.ts'
import { findLayout, type Layout } from './layout.ts'
import { otherKind } from './regular-file.ts'

/** A problem with a file of a ledger, and the command that fixes it. */
interface Problem {
  path: string
  is: string
  command: string
}

/**
 * Forbidden mode bits for others: all access to `.lockstep` and the key, and write access to files that the ledger
 * obeys.
 */
const anything = 0o077
const writing = 0o022

/** The layout of the ledger that governs a folder, if it is safe to use. Errors: NO_LEDGER, LEDGER_INSECURE. */
export function governingLayout(from: string): Layout {
  const layout = findLayout(from)
  demandSecure(layout)
  return layout
}

/**
 * Checks that only the ledger's owner, or root, uses the ledger, and that no other user can change the files it obeys.
 * Only the owner may have access to `.lockstep`. The configuration, key, policy and database must belong to the owner
 * or root, and must not be writable for others. Modes are ignored on a disk that does not keep them, if the
 * configuration accepts that; owners are always checked.
 * Errors: LEDGER_INSECURE, LEDGER_CORRUPT (a file too large to belong to the database).
 * Cost: a look at each file of the database.
 */
export function demandSecure(layout: Layout): void {
  const caller = process.geteuid?.()
  const home = statOf(layout.home)
  if (caller === undefined || home === undefined) return
  if (home.uid !== caller && caller !== 0) throw ofAnother(layout, home.uid, caller)
  const database = databaseParts(layout)
  const parts = [...decidingParts(layout), ...database]
  const [foreign] = parts.flatMap(({ path, stat }) => foreignIn(path, stat, home.uid))
  if (foreign !== undefined) throw insecure(layout, foreign)
  const [kind] = parts.flatMap(({ isFolder, path, stat }) => kindProblem(path, stat, isFolder))
  if (kind !== undefined) throw insecure(layout, kind)
  for (const { path, stat } of database) demandSize(path, stat)
  const [open] = [{ forbidden: anything, path: layout.home, stat: home }, ...parts].flatMap(openToOthers)
  if (open !== undefined && !areModesAccepted(layout)) throw insecure(layout, open)
}

/** Whether the configuration file accepts a disk that does not keep modes, and `.lockstep` is on such a disk. */
export function areModesAccepted({ config, home }: Pick<Layout, 'config' | 'home'>): boolean {
  return acceptsPermissions(config) && !keepsModes(home)
}

/**
 * Whether the disk keeps the modes of new files. It is tested each time, so that the setting has no effect on a disk
 * that keeps them. If no file can be made, the disk counts as keeping modes.
 */
export function keepsModes(folder: string): boolean {
  try {
    const probe = mkdtempSync(join(folder, 'modes-'))
    try {
      return (lstatSync(probe).mode & anything) === 0
    } finally {
      rmdirSync(probe)
    }
  } catch {
    return true
  }
}

interface Part {
  path: string
  stat: Stats
  forbidden: number
  isFolder: boolean
}

/** The files that the ledger obeys, and their folders, as far as they exist. */
function decidingParts({ config, engine, key, ledger, policy, vkey }: Layout): Part[] {
  const files = [config, engine, key, vkey, join(policy, 'lanes.yaml'), join(policy, 'roles.yaml')]
  const parts = [
    ...[ledger, policy].map((path) => ({ isFolder: true, path })),
    ...files.map((path) => ({ isFolder: undefined, path })),
  ]
  return parts.flatMap(({ isFolder = false, path }) => {
    const stat = statOf(path)
    // If something other than a file is here, the code that reads the file reports it.
    const isJudged = stat !== undefined && (isFolder || stat.isFile())
    return isJudged ? [{ forbidden: path === engine ? anything : writing, isFolder, path, stat }] : []
  })
}

/** The files of the database. LevelDB opens each by name, and would wait forever on a named pipe. */
function databaseParts({ ledger }: Layout): Part[] {
  const names = namesIn(ledger).filter((name) => /^(?:CURRENT|LOCK|LOG|MANIFEST-|\d+\.)/.test(name))
  return names.flatMap((name) => {
    const stat = statOf(join(ledger, name))
    // LevelDB creates its files with the mode that the umask leaves. The folder keeps other users out.
    return stat === undefined ? [] : [{ forbidden: 0, isFolder: false, path: join(ledger, name), stat }]
  })
}

/**
 * LevelDB reads CURRENT whole, and reads logs and manifests to their ends. None of its own files is ever this large.
 */
function demandSize(path: string, { size }: Stats): void {
  const sizeMax = path.endsWith('CURRENT') ? limits.currentFileBytes : limits.databaseFileBytes
  if (size <= sizeMax) return
  throw new LockstepError(
    'LEDGER_CORRUPT',
    `${path} has ${size} bytes, but a database file of this kind has at most ${sizeMax}`,
    {
      details: { path, size },
      hint: 'Another program wrote this file. Lockstep changed nothing. Put the original file back, or restore a copy of .lockstep.',
    },
  )
}

function foreignIn(path: string, { uid }: Stats, owner: number): Problem[] {
  if (uid === owner || uid === 0) return []
  const command = `chown ${owner} ${quoted(path)}`
  return [{ path, is: `belongs to another user (uid ${uid}, not ${owner})`, command }]
}

function kindProblem(path: string, stat: Stats, isFolder: boolean): Problem[] {
  if (isFolder ? stat.isDirectory() : stat.isFile()) return []
  const is = otherKind(stat) ?? (stat.isDirectory() ? 'is a folder' : 'is a file, but must be a folder')
  return [{ path, is, command: `mv ${quoted(path)} ${quoted(`${path}.aside`)}` }]
}

function openToOthers({ forbidden, path, stat }: Pick<Part, 'forbidden' | 'path' | 'stat'>): Problem[] {
  const mode = stat.mode & 0o777
  if ((mode & forbidden) === 0 || stat.isSymbolicLink()) return []
  const right = forbidden === writing ? 'go-w' : stat.isDirectory() ? '700' : '600'
  return [{ path, is: `has mode 0${mode.toString(8)}`, command: `chmod ${right} ${quoted(path)}` }]
}

function insecure({ home }: Layout, { command, is, path }: Problem): LockstepError {
  const all = command.startsWith('chmod') ? ` (to fix everything at once: "chmod -R go-rwx ${quoted(home)}")` : ''
  const hint = command.startsWith('mv')
    ? `Lockstep did not create this. Move it away ("${command}"), then restore a copy of the file.`
    : `Other users could have changed it. Check it, then run "${command}"${all}.`
  return new LockstepError('LEDGER_INSECURE', `${path} ${is}`, { details: { path, is, command }, hint })
}

function ofAnother({ home }: Layout, uid: number, caller: number): LockstepError {
  const command = `chown -R ${caller} ${quoted(home)}`
  const message = `${home} belongs to another user (uid ${uid}, not ${caller})`
  return new LockstepError('LEDGER_INSECURE', message, {
    details: { path: home, is: 'belongs to another user', command },
    hint: `A ledger belongs to one user: run as that user. To make it yours, have root run "${command}".`,
  })
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw fileError(error, `examining ${path}`)
  }
}

/** Empty if the folder is missing or is not a folder. Opening the database will report that. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** A word of a shell command, in quotes where the shell would change it. */
export function quoted(path: string): string {
  return /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
