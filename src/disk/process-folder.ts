import { lstatSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isInitialTimeNamespace, type Liveness } from '../domain/lock/liveness.ts'
import { fileError, isAbsence } from './durable.ts'
import { homeName } from './layout.ts'
import { evidenceOf, probeHolder, thisMachine } from './process.ts'

/** The name prefix of folders in which ledgers are built before they are put in place. */
export const buildingPrefix = `${homeName}-init-`
/**
 * Longer than any init or long read takes. After this time, a folder is removed even if its process is not visible from
 * here.
 */
const keptMillisMax = 24 * 60 * 60 * 1000

/**
 * The name of a folder that only this process uses. It contains the pid and start time, and the boot and namespaces in
 * which these are valid. From them, a later process can tell whether this one is gone.
 */
export function processFolderName(prefix: string, nonce: string): string {
  const { start_time } = evidenceOf(process.pid)
  return `${prefix}${[process.pid, start_time?.replace(/\W/g, '_') ?? '', here(), nonce].join('-')}`
}

/** Removes folders with this prefix that dead processes left behind. Errors: those of the file system. */
export function dropProcessFolders(folder: string, prefix: string): void {
  try {
    for (const name of readdirSync(folder)) {
      if (name.startsWith(prefix) && isLeftBehind(join(folder, name), name.slice(prefix.length))) {
        // A child of the dead process may still write there for a moment.
        rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 10, retryDelay: 20 })
      }
    }
  } catch (error) {
    if (!isAbsence(error)) throw fileError(error, `cleaning ${folder}`)
  }
}

/** A folder of another user is left alone: in a shared place, that user could exchange it during the removal. */
function isLeftBehind(path: string, name: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined || stat.uid !== (process.geteuid?.() ?? stat.uid)) return false
  const alive = aliveOf(name, stat.mtimeMs)
  return alive === 'no' || (alive === 'unknown' && Date.now() - stat.mtimeMs > keptMillisMax)
}

/** Whether the process that a folder names is running. */
function aliveOf(name: string, mtimeMs: number): Liveness['alive'] {
  const [pid = '', started = '', where] = name.split('-')
  if (!/^\d+$/.test(pid) || where !== here()) return 'unknown'
  const { boot_id, host, host_id, pid_ns, time_ns } = thisMachine()
  const start_time = process.platform === 'linux' && started !== '' ? started : null
  const evidence = { boot_id, host, host_id, pid: Number(pid), pid_ns, start_time, ...(time_ns && { time_ns }) }
  return probeHolder([evidence], mtimeMs).alive
}

/**
 * The boot and the pid namespace of this process as one word. The time namespace follows if it is not the initial one.
 */
function here(): string {
  const { boot_id, pid_ns, time_ns } = thisMachine()
  const where = `${boot_id?.slice(0, 8) ?? 'unknown'}_${/\d+/.exec(pid_ns ?? '')?.[0] ?? 'unknown'}`
  return isInitialTimeNamespace(time_ns) ? where : `${where}_${time_ns?.replace(/\D+/g, '_') ?? 'unknown'}`
}
