import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs'

interface Descriptor {
  number: number
  /** What it is open on, as /proc names it. */
  target: string
  flags: number
}

const standardMax = 2
/** Higher ones Node does not close. */
const passedOnMax = 1_023

/**
 * Taken when this module loads, which is first of all: a stdout that is a pipe makes libuv open one more as soon as
 * anything looks at it. Only a command line with another behind it needs to know.
 */
const atStart = process.argv.includes('--') ? openDescriptors('self') : []

/**
 * The descriptors above stderr that whoever started this process gave it, as `flock` users do with `200>file`. Node
 * closes them in what it starts unless they are named. What Node opened for itself is told apart by its kind: event
 * queues, its own second look at a terminal, and pipes that it has both ends of, which its parent does not have.
 * None where there is no /proc.
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
    // The one by which the folder itself was read.
    return undefined
  }
}
