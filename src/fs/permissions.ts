import { lstatSync, mkdtempSync, readdirSync, rmdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { limits } from '../core/limits.ts'
import { LockstepError } from '../errors.ts'
import { readConfig } from './config-file.ts'
import { fileError } from './durable.ts'
import { findLayout, type Layout } from './layout.ts'
import { otherKind } from './regular-file.ts'

/** What is wrong with a file of a ledger, and the command that puts it right. */
interface Problem {
  path: string
  is: string
  command: string
}

/** Everything that others may have of `.lockstep` and of the key; what they may have of a file that decides something. */
const anything = 0o077
const writing = 0o022

/** The layout of the ledger that governs a folder, if it is safe to use. Errors: NO_LEDGER, LEDGER_INSECURE. */
export function governingLayout(from: string): Layout {
  const layout = findLayout(from)
  demandSecure(layout)
  return layout
}

/**
 * A ledger is used by its owner or by root, and only while nobody else can change what it decides by: `.lockstep` is
 * open to its owner alone, and the configuration, the key, the policy and the database belong to that owner or to root
 * and are not writable for others. Modes are passed over on a disk that keeps none, where the configuration accepts
 * that; owners never are. Errors: LEDGER_INSECURE, LEDGER_CORRUPT (a file of the database that is too large to be one). Cost: a look at each file of the database.
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

/** Whether the configuration accepts a disk without modes, and `.lockstep` is on such a disk. Errors: INVALID_INPUT. */
export function areModesAccepted({ config, home }: Layout): boolean {
  return readConfig(config).accept_permissions && !keepsModes(home)
}

/**
 * Whether the disk keeps the modes that files are made with: asked of the disk each time, so that the setting opens
 * nothing on a disk that does. Where nothing can be made, it counts as one that does.
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

/** What is there of the files that the ledger obeys, and of their folders. */
function decidingParts({ config, key, ledger, policy, vkey }: Layout): Part[] {
  const files = [config, key, vkey, join(policy, 'lanes.yaml'), join(policy, 'roles.yaml')]
  const parts = [
    ...[ledger, policy].map((path) => ({ isFolder: true, path })),
    ...files.map((path) => ({ isFolder: undefined, path })),
  ]
  return parts.flatMap(({ isFolder = false, path }) => {
    const stat = statOf(path)
    // What stands in a file's place is judged where the file is read.
    const isJudged = stat !== undefined && (isFolder || stat.isFile())
    return isJudged ? [{ forbidden: writing, isFolder, path, stat }] : []
  })
}

/** The database's files. LevelDB opens each by its name, and would wait for ever for a pipe in its place. */
function databaseParts({ ledger }: Layout): Part[] {
  const names = namesIn(ledger).filter((name) => /^(?:CURRENT|LOCK|LOG|MANIFEST-|\d+\.)/.test(name))
  return names.flatMap((name) => {
    const stat = statOf(join(ledger, name))
    // LevelDB makes its files with the mode that the umask leaves; the folder keeps others out.
    return stat === undefined ? [] : [{ forbidden: 0, isFolder: false, path: join(ledger, name), stat }]
  })
}

/** LevelDB reads CURRENT whole, and logs and manifests to their ends; none of its files is ever so large. */
function demandSize(path: string, { size }: Stats): void {
  const sizeMax = path.endsWith('CURRENT') ? limits.currentFileBytes : limits.databaseFileBytes
  if (size <= sizeMax) return
  throw new LockstepError(
    'LEDGER_CORRUPT',
    `${path} has ${size} bytes; such a file of the database has at most ${sizeMax}`,
    {
      details: { path, size },
      hint: 'Something else wrote it. Nothing was changed by Lockstep; put the file back, or restore a copy of .lockstep.',
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
  const is = otherKind(stat) ?? (stat.isDirectory() ? 'is a folder' : 'is a file, where a folder belongs')
  return [{ path, is, command: `mv ${quoted(path)} ${quoted(`${path}.aside`)}` }]
}

function openToOthers({ forbidden, path, stat }: Pick<Part, 'forbidden' | 'path' | 'stat'>): Problem[] {
  const mode = stat.mode & 0o777
  if ((mode & forbidden) === 0 || stat.isSymbolicLink()) return []
  const right = forbidden === anything ? '700' : 'go-w'
  return [{ path, is: `has mode 0${mode.toString(8)}`, command: `chmod ${right} ${quoted(path)}` }]
}

function insecure({ home }: Layout, { command, is, path }: Problem): LockstepError {
  const all = command.startsWith('chmod') ? ` (for all of it, "chmod -R go-rwx ${quoted(home)}")` : ''
  const hint = command.startsWith('mv')
    ? `The ledger never makes such a thing there. Move it away ("${command}"), and restore a copy of the file.`
    : `Others could have changed it. Check it, then run "${command}"${all}.`
  return new LockstepError('LEDGER_INSECURE', `${path} ${is}`, { details: { path, is, command }, hint })
}

function ofAnother({ home }: Layout, uid: number, caller: number): LockstepError {
  const command = `chown -R ${caller} ${quoted(home)}`
  const message = `${home} belongs to another user (uid ${uid}, not ${caller})`
  return new LockstepError('LEDGER_INSECURE', message, {
    details: { path: home, is: 'belongs to another user', command },
    hint: `One user owns a ledger: run as that user. If it is to be yours, let root run "${command}".`,
  })
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw fileError(error, `looking at ${path}`)
  }
}

/** None where the folder is missing or is none: opening the database says so. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function quoted(path: string): string {
  return /^[\w./@%+=:,-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
}
