import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs'

interface Descriptor {
  number: number
  /** The open file, as /proc names it. */
  target: string
  flags: number
}

const standardMax = 2
/** Node does not close descriptors above this number. */
const passedOnMax = 1_023

/**
 * The open descriptors when this module loads, which is before all others: if stdout is a pipe, its first use makes
 * libuv open another descriptor. Only a command line that runs another command needs this list.
 */
const atStart = process.argv.includes('--') ? openDescriptors('self') : []

/**
 * The descriptors above stderr that this process inherited, as `flock` users pass them with `200>file`. Node closes
 * them in child processes unless they are named. Node's own descriptors are excluded by their kind: event queues,
 * reopened terminals, and pipes of which it has both ends and its parent has none. Without /proc, the list is empty.
 */
export function inheritedDescriptors(): number[] {
  const open = atStart.length > 0 ? atStart : openDescriptors('self')
  let ofParent: Set<string> | undefined
  const isOwnPipe = ({ target }: Descriptor) => {
    if (!target.startsWith('pipe:') || open.filter((other) => other.target === target).length < 2) return false
    ofParent ??= new Set(openDescriptors(String(process.ppid)).map((one) => one.target))
    return !ofParent.has(target)
  }
  return open
    .filter(({ number }) => number > standardMax && number <= passedOnMax)
    .filter((one) => !one.target.startsWith('anon_inode:') && !isReopenedTerminal(one) && !isOwnPipe(one))
    .map(({ number }) => number)
}

function isReopenedTerminal({ target, flags }: Descriptor): boolean {
  return /^\/dev\/(?:pts\/|tty)/.test(target) && (flags & constants.O_NONBLOCK) !== 0
}

function openDescriptors(process: string): Descriptor[] {
  try {
    return readdirSync(`/proc/${process}/fd`)
      .map(Number)
      .sort((left, right) => left - right)
      .flatMap((number) => descriptorOf(process, number) ?? [])
  } catch {
    return []
  }
}

function descriptorOf(process: string, number: number): Descriptor | undefined {
  try {
    const target = readlinkSync(`/proc/${process}/fd/${number}`)
    const [, flags = '0'] =
      /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/${process}/fdinfo/${number}`, 'latin1')) ?? []
    return { number, target, flags: Number.parseInt(flags, 8) }
  } catch {
    // This descriptor was open only to read the folder.
    return undefined
  }
}
