import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import type { Writable } from 'node:stream'
import { codes, LockstepError, messageOf } from '../errors.ts'
import { Descendants } from './descendants.ts'
import { acquireLock, type HeldLock, type LockOptions } from './held-lock.ts'
import { exitOf, SignalRelay } from './signal-relay.ts'

export interface SuperviseOptions extends LockOptions {
  /** The program, found as a shell finds it, and its arguments, which no shell looks at. */
  command: string[]
  /** Between TERM and KILL when the lease is lost. */
  graceMillis?: number
  /** Whether stdin is a terminal: the child stays in the foreground group then, instead of leading its own. */
  isTty: boolean
}

const graceMillisDefault = 10_000
const exitCannotStart = 126

/**
 * Runs a command while a lock is held and resolves with the exit code: the command's own, 128+n if a signal ended
 * it, 127 and 126 if it is not found or cannot be run, 76 if the lease was lost before its release. The lock is
 * released on every path. Rejects with the refusal of the acquire (LOCK_CONTENTION, TIMED_OUT, …), in which case
 * the command never ran.
 *
 * The child is there from the start, as a shell that waits at a gate: so wrapper and child are both recorded with
 * the grant, and the lock stays held until both are dead. It then becomes the command, under the same pid.
 */
export async function superviseUnderLock(options: SuperviseOptions): Promise<number> {
  const stop = new AbortController()
  const relay = new SignalRelay(options.isTty, stop)
  try {
    const child = await spawnAtGate(options)
    if (child === undefined) return exitCannotStart
    void child.ended.then((code) => stop.abort(code))
    const held = await acquireLock(options, [process.pid, child.pid], stop.signal).catch(async (error: unknown) => {
      const isStopped = stop.signal.aborted
      await remove(child)
      if (!isStopped) throw error
      return undefined
    })
    if (held === undefined) return Number(stop.signal.reason)
    const descendants = new Descendants(child.process, child.pid)
    await descendants.look()
    if (stop.signal.aborted) {
      await remove(child)
      await held.release('failure')
      return Number(stop.signal.reason)
    }
    relay.passOnTo(child)
    openGate(child, held)
    return await untilEnd(options, child, { held, descendants })
  } finally {
    relay.end()
  }
}

interface Child {
  process: ChildProcess
  pid: number
  /** The exit code, once it has one. */
  ended: Promise<number>
}

/**
 * Spawns the child at its gate: a shell that reads the values of the environment from descriptor 3, a line each, and
 * becomes the command once all have come. If this process dies before, the lines end and so does the child.
 * Undefined, said why, where not even that can be started. Errors: INVALID_INPUT.
 */
async function spawnAtGate({ command, isTty, say }: SuperviseOptions): Promise<Child | undefined> {
  const [program] = command
  if (program === undefined) throw new LockstepError('INVALID_INPUT', 'the command is missing')
  if (program.startsWith('-')) {
    // Shells differ in what exec makes of it.
    throw new LockstepError('INVALID_INPUT', `a command cannot begin with "-": ${program}`, {
      hint: 'Name it by a path, as ./-name.',
    })
  }
  try {
    const gate = spawn(shell, [...shellOptions, gateScript, 'lockstep', ...command], {
      detached: !isTty,
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    })
    const ended = new Promise<number>((resolve) => {
      gate.once('exit', (code, signal) => resolve(code ?? exitOf(signal ?? 'SIGKILL')))
    })
    await once(gate, 'spawn')
    // A child that became another user's cannot be signalled; that must not end its wrapper.
    gate.on('error', () => {})
    return { process: gate, pid: gate.pid ?? 0, ended }
  } catch (error) {
    say(`${program} cannot be started: ${messageOf(error)}`)
    return undefined
  }
}

const environment = ['LOCKSTEP_LOCK_NAME', 'LOCKSTEP_LOCK_ID', 'LOCKSTEP_TOKEN', 'LOCKSTEP_DIR'] as const
const readLines = environment.map((name) => `IFS= read -r ${name} <&3`).join(' && ')
const gateScript = `${readLines} || exit 125; export ${environment.join(' ')}; exec 3<&-; exec "$@"`

// A bash that runs privileged reads no start files and hands the environment on as it is. Dash, the sh of Debian,
// loses the variables whose names a shell cannot hold, such as exported functions and names with dots.
const [shell, shellOptions] = existsSync('/bin/bash') ? ['/bin/bash', ['-p', '-c']] : ['/bin/sh', ['-c']]

function openGate(child: Child, { name, lockId, token, dir }: HeldLock): void {
  const gate = child.process.stdio[3] as Writable
  // Nobody reads where the child was killed at the gate; its end says so.
  gate.on('error', () => {})
  gate.end([name, lockId, token, dir].map((value) => `${value}\n`).join(''))
}

/** Ends a child that still waits at its gate, so that it never runs the command. */
async function remove(child: Child): Promise<void> {
  child.process.kill('SIGKILL')
  await child.ended
}

/** Holds the lock until the child or the lease ends, whichever is first. */
async function untilEnd(
  { graceMillis = graceMillisDefault, say }: SuperviseOptions,
  { ended }: Child,
  { held, descendants }: { held: HeldLock; descendants: Descendants },
): Promise<number> {
  held.keep(() => void descendants.look())
  const endAll = async (loss: LockstepError) => {
    say(`${loss.message}; the command and all it started are ended`)
    const left = await descendants.end(graceMillis)
    if (left.length > 0) say(`no signal ended these processes: ${left.join(', ')}`)
  }
  const first = await Promise.race([ended, held.lost])
  if (typeof first === 'number') {
    const loss = await held.release(first === 0 ? 'success' : 'failure')
    if (loss === undefined) return first
    // Found out only now; what the command may have left running must not go on without the lock.
    await endAll(loss)
  } else {
    await endAll(first)
    await held.release('failure')
  }
  return codes.LEASE_LOST.exit
}
