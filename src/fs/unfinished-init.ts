import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileError } from './durable.ts'
import { homeName } from './layout.ts'
import { evidenceOf, probeLiveness, thisMachine } from './process.ts'

/** What the folders are called in which ledgers are built before they are put in place. */
export const buildingPrefix = `${homeName}-init-`
/** Longer than any init: after it even a folder is removed whose process cannot be seen from here. */
const unfinishedMillisMax = 24 * 60 * 60 * 1000

/**
 * The name of a new one. It says which process builds there, with its start time and the boot and pid namespace that
 * these count in, so that a later init can tell whether that process is gone.
 */
export function buildingName(ledgerId: string): string {
  const { start_time } = evidenceOf(process.pid)
  return `${buildingPrefix}${[process.pid, start_time?.replace(/\W/g, '_') ?? '', here(), ledgerId].join('-')}`
}

/** Removes what an init left that was killed. Errors: those of the file system. */
export function dropUnfinished(root: string): void {
  try {
    for (const name of readdirSync(root)) {
      if (name.startsWith(buildingPrefix) && isUnfinished(join(root, name), name.slice(buildingPrefix.length))) {
        rmSync(join(root, name), { recursive: true, force: true })
      }
    }
  } catch (error) {
    throw fileError(error, `creating a ledger in ${root}`)
  }
}

function isUnfinished(path: string, name: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat !== undefined && Date.now() - stat.mtimeMs > unfinishedMillisMax) return true
  const [pid = '', started = '', where] = name.split('-')
  if (!/^\d+$/.test(pid) || where !== here()) return false
  const { boot_id, host, host_id, pid_ns } = thisMachine()
  const start_time = process.platform === 'linux' && started !== '' ? started : null
  return probeLiveness({ boot_id, host, host_id, pid: Number(pid), pid_ns, start_time }).alive === 'no'
}

/** The boot and the pid namespace of this process in one word. */
function here(): string {
  const { boot_id, pid_ns } = thisMachine()
  return `${boot_id?.slice(0, 8) ?? 'unknown'}_${/\d+/.exec(pid_ns ?? '')?.[0] ?? 'unknown'}`
}
