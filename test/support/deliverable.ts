import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { evidenceOf, thisMachine } from '../../src/disk/process.ts'
import { isInitialPidNamespace } from '../../src/domain/lock/liveness.ts'
import { LockstepError } from '../../src/errors.ts'

/** A deliverable folder below a root: its path and where its lock file is. */
export interface Deliverable {
  path: string
  lock: string
}

/** Makes a deliverable folder with two files of a working agent in it. */
export function makeDeliverable(root: string, folder = 'DEL-08-05_Lock'): Deliverable {
  const path = join(root, folder)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, '_STATUS.md'), 'state: IN_PROGRESS\nhistory:\n  - OPEN\n')
  writeFileSync(join(path, 'Specification.md'), '# Specification\n')
  return { path, lock: join(path, '.lock') }
}

/** Everything in a folder and below: names with their type, mode and content, so that two looks can be compared. */
export function contentOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(folder, name)
    const stat = lstatSync(path)
    const mode = (stat.mode & 0o777).toString(8)
    if (stat.isFile()) found[name] = `${mode} ${readFileSync(path, 'latin1')}`
    else if (stat.isSymbolicLink()) found[name] = `link ${readlinkSync(path)}`
    else found[name] = stat.isDirectory() ? 'folder' : 'other'
  }
  return found
}

/**
 * What another tool writes into its lock file, the seed's fields: held by this process for half an hour from now,
 * unless said otherwise.
 */
export function foreignText(facts: Record<string, unknown> = {}): string {
  const six = {
    deliverable_id: 'DEL-08-05',
    holder: 'foreign-tool',
    acquired: new Date().toISOString(),
    lease_duration_s: 1_800,
    pid: process.pid,
  }
  return `${JSON.stringify({ ...six, ...facts }, null, 2)}\n`
}

/** A pid that had a process and has none any more. */
export function deadPid(): number {
  return spawnSync(process.execPath, ['-e', '']).pid
}

/**
 * What a file of another tool says of a holder that is dead: its bare pid. In a container that says nothing, so there
 * the file has evidence as ours have it.
 */
export function deadHolder(): Record<string, unknown> {
  const pid = deadPid()
  if (isInitialPidNamespace(thisMachine().pid_ns)) return { pid }
  return { pid, evidence: [{ ...evidenceOf(process.pid), pid }] }
}

/** A process that lives until it is killed. */
export function startHolder() {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  return {
    pid: child.pid ?? 0,
    kill: async () => {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** The LockstepError that a promise rejects with, or a call throws; anything else is a failure of the test. */
export async function refusalOf(asked: Promise<unknown> | (() => unknown)): Promise<LockstepError> {
  const promise = typeof asked === 'function' ? Promise.resolve().then(asked) : asked
  const outcome = await promise.then(
    (value) => new Error(`resolved with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  )
  if (outcome instanceof LockstepError) return outcome
  throw outcome
}

/** Every field that a LOCK_CONTENTION report of a deliverable has (locks.md). */
export const contentionFields = [
  'acquired',
  'contention_time',
  'deliverable_id',
  'holder',
  'holder_alive',
  'host',
  'lease_remaining_s',
  'name',
  'pid',
  'retry_after_s',
  'token',
]

/** The same for contention with a grant, not only with a file. */
export const grantFields = [...contentionFields, 'held_since', 'lock_ref'].sort()

/** What changes when a file is replaced or written: its inode, its time, its size and its text. */
export function stamp(path: string): string {
  const { ino, mtimeNs, size } = lstatSync(path, { bigint: true })
  return `${ino} ${mtimeNs} ${size} ${readFileSync(path, 'utf8')}`
}
