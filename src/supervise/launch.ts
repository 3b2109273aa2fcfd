import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { messageOf, systemCodeOf } from '../errors.ts'
import { given } from '../kernel/given.ts'
import type { Actor } from '../kernel/ids.ts'
import { Descendants } from './descendants.ts'
import { inheritedDescriptors } from './descriptors.ts'
import { Guard } from './guard.ts'
import { markVariable } from './process-list.ts'
import { exitOf } from './signal-relay.ts'
import { hasTerminal, isHangupIgnored } from './terminal.ts'

const markBytes = 8
/** The environment keeps at most this many marks of outer commands. The outermost is dropped first. */
const marksMax = 64

/** The surroundings of a command: what it shares with its wrapper, and the mark that identifies its processes. */
export interface Place {
  /** The descriptors above stderr that are passed on. */
  descriptors: number[]
  env: NodeJS.ProcessEnv
  /** Whether HUP was ignored when this process started, as by nohup. */
  isHangupIgnored: boolean
  mark: string
  /**
   * Whether the command stays in our process group. It does so if there is a terminal, because only the foreground
   * group may read from it, and because Ctrl-C and hangups go to that whole group.
   */
  sharesGroup: boolean
}

/** Finds the surroundings of a command, with more variables. Must be called before any file is opened. */
export function placeOfCommand(more: NodeJS.ProcessEnv): Place {
  const mark = randomBytes(markBytes).toString('hex')
  const above = (process.env[markVariable] ?? '').split(':').filter((one) => one !== '')
  return {
    descriptors: inheritedDescriptors(),
    env: { ...process.env, ...more, [markVariable]: [...above.slice(-marksMax), mark].join(':') },
    isHangupIgnored: isHangupIgnored(),
    mark,
    sharesGroup: hasTerminal(),
  }
}

/** The variables by which the commands below act as this actor. */
export function withActor(actor: Actor | undefined): NodeJS.ProcessEnv {
  if (actor === undefined) return {}
  const { actor_id, actor_type, on_behalf_of } = actor
  const own = { LOCKSTEP_ACTOR: `${actor_type}:${actor_id}` }
  return on_behalf_of === undefined ? own : { ...own, LOCKSTEP_ON_BEHALF_OF: on_behalf_of }
}

/** The options to spawn a process there. `pipe` is an additional descriptor that becomes a pipe. */
function spawnOptions({ descriptors, env, sharesGroup }: Place, pipe: number | undefined): SpawnOptions {
  const highest = Math.max(2, pipe ?? 0, ...descriptors)
  const others = Array.from({ length: highest - 2 }, (_, index) => {
    const number = index + 3
    if (number === pipe) return 'pipe'
    return descriptors.includes(number) ? number : 'ignore'
  })
  return { detached: !sharesGroup, env, stdio: ['inherit', 'inherit', 'inherit', ...others] }
}

/** A command, or the shell that becomes the command, with its guard. */
export interface Launched {
  process: ChildProcess
  pid: number
  guard: Guard
  descendants: Descendants
  /** Resolves with the exit code: its own, or 128+n if a signal ended it. */
  exit: Promise<number>
}

/** A program, its arguments, and the name that it is called by if that is not its path. */
export interface What {
  argv0?: string | undefined
  program: string
  words: readonly string[]
}

const exitNotFound = 127
const exitCannotStart = 126

/** Starts a guard, then the program. If that fails, prints the reason and resolves with the exit code of a shell. */
export async function launch(
  { argv0, place, pipe, program, words }: What & { place: Place; pipe?: number },
  { name, say }: { name: string; say: (text: string) => void },
): Promise<Launched | number> {
  let guard: Guard | undefined
  try {
    guard = await Guard.start(place.mark, place.descriptors)
    const child = spawn(program, words, { ...spawnOptions(place, pipe), ...given({ argv0 }) })
    await once(child, 'spawn')
    // A child that changed its user cannot be signalled. That error must not end the wrapper.
    child.on('error', () => {})
    const pid = child.pid ?? 0
    guard.over(place.sharesGroup ? pid : -pid)
    const descendants = new Descendants({ process: child, pid, mark: place.mark })
    return { process: child, pid, guard, descendants, exit: exitOfChild(child) }
  } catch (error) {
    await guard?.dismiss()
    say(`${name} could not be started: ${messageOf(error)}`)
    return systemCodeOf(error) === 'ENOENT' ? exitNotFound : exitCannotStart
  }
}

function exitOfChild(process: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    process.once('exit', (code, signal) => resolve(code ?? exitOf(signal ?? 'SIGKILL')))
  })
}
