import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { isatty } from 'node:tty'

/** Whether this process has a controlling terminal, be it on stdin or not: what Ctrl-C and a hangup come from. */
export function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK))
    return true
  } catch {
    return false
  }
}

/**
 * Whether the keys of the terminal are for this process's group: only then can an INT have come from Ctrl-C. Where
 * there is no /proc to ask, they are if stdin is a terminal.
 */
export function isInForeground(): boolean {
  const fields = fieldsOfStat()
  if (fields === undefined) return isatty(0)
  const [, , group, , , foreground] = fields
  return group === foreground
}

/**
 * Whether a hangup is sent to this process alone: the one that leads the session of its terminal gets it first, and
 * the others of the foreground group only when that has ended.
 */
export function leadsSession(): boolean {
  const [, , , session] = fieldsOfStat() ?? []
  return session === String(process.pid)
}

/** From the state on, which is field 3 of /proc/self/stat. */
function fieldsOfStat(): string[] | undefined {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

const hangupBit = 1n

/**
 * Whether whoever started this process meant it to live on when the terminal goes, as nohup does. Node forgets which
 * signals were ignored when it starts, so this goes by what is left to see: a parent that ignores HUP, nohup as the
 * last program that a shell started, or a stdin that can only be written to, which GNU nohup makes of a terminal.
 */
export function isHangupIgnored(): boolean {
  const { _: started = '' } = process.env
  return basename(started) === 'nohup' || ignoresHangup(process.ppid) || isStdinOfNohup()
}

function ignoresHangup(pid: number): boolean {
  try {
    const [, ignored] = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1')) ?? []
    return (BigInt(`0x${ignored ?? 0}`) & hangupBit) !== 0n
  } catch {
    return false
  }
}

function isStdinOfNohup(): boolean {
  try {
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/fdinfo/0', 'latin1')) ?? []
    return (Number.parseInt(flags ?? '0', 8) & constants.O_WRONLY) !== 0
  } catch {
    return false
  }
}
