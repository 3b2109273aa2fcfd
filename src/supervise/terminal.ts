import { closeSync, constants, openSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { isatty } from 'node:tty'

/** Whether this process has a controlling terminal, on stdin or not. Ctrl-C and hangups come from that terminal. */
export function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK))
    return true
  } catch {
    return false
  }
}

/**
 * Whether this process group is in the foreground of its terminal. Only then can an INT come from Ctrl-C. Without
 * /proc, the answer is whether stdin is a terminal.
 */
export function isInForeground(): boolean {
  const fields = fieldsOfStat()
  if (fields === undefined) return isatty(0)
  const [, , group, , , foreground] = fields
  return group === foreground
}

/**
 * Whether this process leads its session. The session leader receives a hangup first, alone. The rest of the foreground
 * group receives it only after the leader has ended.
 */
export function leadsSession(): boolean {
  const [, , , session] = fieldsOfStat() ?? []
  return session === String(process.pid)
}

/** The fields of /proc/self/stat from field 3 on, the state. */
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
 * Whether this process was started to survive the end of its terminal, as by nohup. Node loses the list of ignored
 * signals at its start, so this function looks for other evidence: a parent that ignores HUP, nohup as the last program
 * that a shell started, or a write-only stdin, with which GNU nohup replaces a terminal.
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
