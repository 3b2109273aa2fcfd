import { nanoid } from 'nanoid'
import { codes, LockstepError } from '../errors.ts'
import type { Actor } from '../kernel/ids.ts'
import { lockRefOf } from '../writer/core.ts'
import { formerAreGone } from './former.ts'
import { gateFor, openGate } from './gate.ts'
import { acquireLock, type HeldLock, type LockOptions } from './held-lock.ts'
import { type Launched, launch, type Place, placeOfCommand, withActor } from './launch.ts'
import { withLockRef } from './locks-above.ts'
import { endLost, keepLease, type Survivors, untilEnd, type Work } from './runner.ts'
import { SignalRelay } from './signal-relay.ts'

export interface SuperviseOptions extends LockOptions {
  /** The actor of the command. By default the command does not learn who acquired the lock. */
  actor?: Actor | undefined
  /** The program, looked up like in a shell, and its arguments, which no shell interprets. */
  command: string[]
  /** How to treat processes that the command leaves running. The default is to wait for them. */
  survivors?: Survivors
}

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
export async function superviseUnderLock(asked: SuperviseOptions): Promise<number> {
  const { actor, lock_id = `lck_${nanoid()}` } = asked
  const options = { ...asked, lock_id }
  const place = placeOfCommand({ ...withActor(actor), ...withLockRef(lockRefOf(lock_id)) })
  const stop = new AbortController()
  const relay = new SignalRelay(place, stop)
  let child: ChildAtGate | undefined
  try {
    const started = await spawnAtGate(options, place)
    if (typeof started === 'number') return started
    child = started
    return await superviseChild(options, child, { relay, stop })
  } finally {
    await child?.guard.dismiss()
    relay.end()
  }
}

interface ChildAtGate extends Launched {
  openGate: (held: HeldLock) => void
}

async function superviseChild(
  options: SuperviseOptions,
  child: ChildAtGate,
  { relay, stop }: { relay: SignalRelay; stop: AbortController },
): Promise<number> {
  const { say, survivors = 'wait' } = options
  void child.exit.then((code) => stop.abort(code))
  const pids = [process.pid, child.pid, child.guard.pid]
  const held = await acquireLock(options, pids, stop.signal).catch(async (error: unknown) => {
    const isStopped = stop.signal.aborted
    await remove(child)
    if (!isStopped) throw error
    return undefined
  })
  if (held === undefined) return Number(stop.signal.reason)
  const { lease } = held
  const work: Work = { child, lease, say }
  await keepLease(work)
  const isOver = () => stop.signal.aborted || lease.loss !== undefined
  await formerAreGone(held.former, { isOver, say })
  if (isOver()) {
    const code = lease.loss === undefined ? Number(stop.signal.reason) : codes.LEASE_LOST.exit
    await remove(child)
    await held.release('failure')
    return code
  }
  relay.passOnTo(child)
  child.openGate(held)
  const end = await untilEnd(work, { relay, survivors })
  const loss = await held.release(end.why === 'exited' && end.code === 0 ? 'success' : 'failure')
  if (end.why !== 'exited') return codes.LEASE_LOST.exit
  if (loss === undefined || loss.code === 'LEASE_EXPIRED') return end.code
  // The loss is noticed only at the release. Processes that the command left running must not outlive the lock.
  await endLost(work, loss)
  return codes.LEASE_LOST.exit
}

/**
 * Spawns the child at its gate. If this process dies before the gate opens, the child reads the end of its pipe and
 * exits. If the child cannot be started, the result is an exit code. Errors: INVALID_INPUT.
 */
async function spawnAtGate({ command, say }: SuperviseOptions, place: Place): Promise<ChildAtGate | number> {
  const [name] = command
  if (name === undefined) throw new LockstepError('INVALID_INPUT', 'no command is given')
  if (name.startsWith('-')) {
    // Shells disagree about such a word after exec.
    throw new LockstepError('INVALID_INPUT', `a command cannot begin with "-": ${name}`, {
      hint: 'Give the command as a path, such as ./-name.',
    })
  }
  const { descriptor: pipe, program, words } = gateFor(command, place)
  const child = await launch({ program, words, place, pipe }, { name, say })
  if (typeof child === 'number') return child
  const gate = child.process.stdio[pipe]
  return { ...child, openGate: ({ name, lockId, token, dir }) => openGate(gate, [name, lockId, String(token), dir]) }
}

/** Kills a child that still waits at its gate, so that the command never runs. */
async function remove(child: Launched): Promise<void> {
  child.process.kill('SIGKILL')
  await child.exit
}
