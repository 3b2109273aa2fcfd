import { codes, LockstepError } from '../errors.ts'
import { Descendants } from './descendants.ts'
import { endAll, follow, settle, type Work } from './endings.ts'
import { formerAreGone } from './former.ts'
import { gateFor, openGate } from './gate.ts'
import { acquireLock, type HeldLock, type LockOptions } from './held-lock.ts'
import { exitOfChild, type Launched, launch, type Place, placeOfCommand } from './launch.ts'
import { SignalRelay } from './signal-relay.ts'
import type { Survivors } from './survivors.ts'

export interface SuperviseOptions extends LockOptions {
  /** The program, looked up like in a shell, and its arguments, which no shell interprets. */
  command: string[]
  /** How to treat processes that the command leaves running. The default is to wait for them. */
  survivors?: Survivors
}

const exitCannotStart = 126

/**
 * Runs a command while a lock is held, and resolves with the exit code: the command's own, 128+n if a signal ended it,
 * 127 if it is not found, 126 if it cannot be run, or 76 if the lease was lost before the release. The lock is released
 * on every path. Rejects with the refusal of the acquire (LOCK_CONTENTION, TIMED_OUT, …); then the command never ran.
 *
 * The child starts before the lock is acquired, as a shell that waits at a gate. The guard starts beside it. The grant
 * can therefore record wrapper, child and guard, and the lock stays held until the last of them is dead. When the gate
 * opens, the child becomes the command under the same pid. If the wrapper is killed, the guard ends the command, and
 * exits when all processes of the command are gone.
 */
export async function superviseUnderLock(options: SuperviseOptions): Promise<number> {
  const place = placeOfCommand()
  const stop = new AbortController()
  const relay = new SignalRelay(place, stop)
  let child: Child | undefined
  try {
    child = await spawnAtGate(options, place)
    if (child === undefined) return exitCannotStart
    return await superviseChild(options, child, { relay, stop })
  } finally {
    await child?.guard.dismiss()
    relay.end()
  }
}

interface Child extends Launched {
  /** Resolves with the exit code when the child has ended. */
  ended: Promise<number>
  openGate: (held: HeldLock) => void
}

async function superviseChild(
  options: SuperviseOptions,
  child: Child,
  { relay, stop }: { relay: SignalRelay; stop: AbortController },
): Promise<number> {
  void child.ended.then((code) => stop.abort(code))
  const pids = [process.pid, child.pid, child.guard.pid]
  const held = await acquireLock(options, pids, stop.signal).catch(async (error: unknown) => {
    const isStopped = stop.signal.aborted
    await remove(child)
    if (!isStopped) throw error
    return undefined
  })
  if (held === undefined) return Number(stop.signal.reason)
  const { lease } = held
  const work: Work = { descendants: new Descendants(child), guard: child.guard, lease, say: options.say }
  await work.descendants.look()
  follow(work)
  lease.keep()
  const isOver = () => stop.signal.aborted || lease.loss !== undefined
  await formerAreGone(held.former, { isOver, say: options.say })
  if (isOver()) {
    const code = lease.loss === undefined ? Number(stop.signal.reason) : codes.LEASE_LOST.exit
    await remove(child)
    await held.release('failure')
    return code
  }
  relay.passOnTo(child)
  child.openGate(held)
  return untilEnd(options, child, { held, relay, work })
}

/**
 * Spawns the child at its gate. If this process dies before the gate opens, the child reads the end of its pipe and
 * exits. If the child cannot be started, the reason is printed and the result is undefined. Errors: INVALID_INPUT.
 */
async function spawnAtGate({ command, say }: SuperviseOptions, place: Place): Promise<Child | undefined> {
  const [name] = command
  if (name === undefined) throw new LockstepError('INVALID_INPUT', 'no command is given')
  if (name.startsWith('-')) {
    // Shells disagree about such a word after exec.
    throw new LockstepError('INVALID_INPUT', `a command cannot begin with "-": ${name}`, {
      hint: 'Give the command as a path, such as ./-name.',
    })
  }
  const { descriptor: pipe, program, words } = gateFor(command, place)
  const started = await launch({ program, words, place, pipe }, { name, say })
  if ('error' in started) return undefined
  const { launched } = started
  const gate = launched.process.stdio[pipe]
  return {
    ...launched,
    ended: exitOfChild(launched.process),
    openGate: ({ name, lockId, token, dir }) => openGate(gate, [name, lockId, String(token), dir]),
  }
}

/** Kills a child that still waits at its gate, so that the command never runs. */
async function remove(child: Child): Promise<void> {
  child.process.kill('SIGKILL')
  await child.ended
}

/** Holds the lock until the child with all it started or the lease ends, whichever is first. */
async function untilEnd(
  { say, survivors = 'wait' }: SuperviseOptions,
  child: Child,
  { held, relay, work }: { held: HeldLock; relay: SignalRelay; work: Work },
): Promise<number> {
  const { lease } = held
  const endLost = async (loss: LockstepError) => {
    say(`${loss.message}; ending the command and all processes it started`)
    await endAll(work, lease.graceLeft())
  }
  const signalled = relay.nextEnd()
  const first = await Promise.race([child.ended, lease.lost])
  const lost = lease.check()
  if (lost !== undefined || typeof first !== 'number') {
    await endLost(lost ?? (first as LockstepError))
    await held.release('failure')
    return codes.LEASE_LOST.exit
  }
  // A signal that ended the command also ends the processes it left running. A signal that it handled does not.
  const stopped = relay.hasHeard && first > exitSignalled ? signalled : relay.nextEnd()
  const robbed = await settle(work, { survivors, stopped })
  const loss = await held.release(first === 0 ? 'success' : 'failure')
  if (robbed !== undefined) return codes.LEASE_LOST.exit
  if (loss === undefined || loss.code === 'LEASE_EXPIRED') return first
  // The loss is noticed only at the release. Processes that the command left running must not outlive the lock.
  await endLost(loss)
  return codes.LEASE_LOST.exit
}

/** Exit codes above this value mean that a signal ended the command. */
const exitSignalled = 128
