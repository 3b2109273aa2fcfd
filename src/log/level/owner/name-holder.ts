import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'

/** A machine has a larger socket table only if something is wrong. The answer is then "unseen". */
const tableBytesMax = 16 * 1024 * 1024

/**
 * The holder of an abstract socket name, as far as /proc shows it. `nobody`: the name is free again. `known user`: a
 * process of one of `users` holds it. `unseen`: another user's process holds it, or one that is not visible from here.
 * Cost: a look at the open files of every visible process.
 * Source: proc(5), /proc/net/unix.
 */
export function holderOfName(name: string, users: ReadonlySet<number>): 'known user' | 'nobody' | 'unseen' {
  const inodes = socketsNamed(`@${name}`)
  if (inodes === undefined) return 'unseen'
  if (inodes.size === 0) return 'nobody'
  const isHolder = (pid: string) => users.has(uidOf(pid)) && hasSocket(pid, inodes)
  return processIds().some(isHolder) ? 'known user' : 'unseen'
}

/** The inodes of the sockets with this name; undefined if the sockets cannot be listed. */
function socketsNamed(shown: string): Set<string> | undefined {
  try {
    const table = readFileSync('/proc/net/unix', 'utf8')
    if (table.length > tableBytesMax) return undefined
    const fields = table.split('\n').map((line) => line.trim().split(/\s+/))
    // The name may be padded with NULs, each of which is shown as an @.
    const isNamed = (path = '') => path.replace(/@+$/, '') === shown
    return new Set(fields.flatMap(([, , , , , , inode = '', path]) => (isNamed(path) ? [`socket:[${inode}]`] : [])))
  } catch {
    return undefined
  }
}

function processIds(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  } catch {
    return []
  }
}

function uidOf(pid: string): number {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? -1
}

/** Also false if the process has ended or its open files cannot be listed. */
function hasSocket(pid: string, inodes: ReadonlySet<string>): boolean {
  try {
    const folder = `/proc/${pid}/fd`
    return readdirSync(folder).some((descriptor) => inodes.has(linkOf(`${folder}/${descriptor}`)))
  } catch {
    return false
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
