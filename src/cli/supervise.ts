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
  /** The program, found as a shell finds it, and its arguments, which no shell looks at. */
  command: string[]
  /** What becomes of processes that it leaves running; by default they are waited for. */
  survivors?: Survivors
}

const exitCannotStart = 126

/**
 * Runs a command while a lock is held and resolves with the exit code: the command's own, 128+n if a signal ended
 * it, 127 and 126 if it is not found or cannot be run, 76 if the lease was lost before its release. The lock is
 * released on every path. Rejects with the refusal of the acquire (LOCK_CONTENTION, TIMED_OUT, …), in which case
 * the command never ran.
 *
 * The child is there from the start, as a shell that waits at a gate, and so is the guard beside it: so wrapper, child
 * and guard are all recorded with the grant, and the lock stays held until the last of them is dead. The child then
 * becomes the command, under the same pid. Should the wrapper be killed, the guard ends the command and ends itself
 * once nothing is left of it.
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
  /** The exit code, once it has one. */
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
 * Spawns the child at its gate. If this process dies before it opens, the lines end and so does the child. Undefined,
 * said why, where not even that can be started. Errors: INVALID_INPUT.
 */
async function spawnAtGate({ command, say }: SuperviseOptions, place: Place): Promise<Child | undefined> {
  const [name] = command
  if (name === undefined) throw new LockstepError('INVALID_INPUT', 'the command is missing')
  if (name.startsWith('-')) {
    // Shells differ in what exec makes of it.
    throw new LockstepError('INVALID_INPUT', `a command cannot begin with "-": ${name}`, {
      hint: 'Name it by a path, as ./-name.',
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

/** Ends a child that still waits at its gate, so that it never runs the command. */
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
    say(`${loss.message}; the command and all it started are ended`)
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
  // A signal that ended the command is meant for what it left, too; one that it made something else of is not.
  const stopped = relay.hasHeard && first > exitSignalled ? signalled : relay.nextEnd()
  const robbed = await settle(work, { survivors, stopped })
  const loss = await held.release(first === 0 ? 'success' : 'failure')
  if (robbed !== undefined) return codes.LEASE_LOST.exit
  if (loss === undefined || loss.code === 'LEASE_EXPIRED') return first
  // Found out only now; what the command may have left running must not go on without the lock.
  await endLost(loss)
  return codes.LEASE_LOST.exit
}

/** An exit code above it is that of a signal. */
const exitSignalled = 128
