import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { messageOf } from '../errors.ts'
import { inheritedDescriptors } from './descriptors.ts'
import { Guard } from './guard.ts'
import { markVariable } from './process-list.ts'
import { exitOf } from './signal-relay.ts'
import { hasTerminal, isHangupIgnored } from './terminal.ts'

const markBytes = 8
/** So many of those above are kept in the environment; an outer one is forgotten before an inner one. */
const marksMax = 64

/** Where a command runs: what it shares with its wrapper, and by what it is known again. */
export interface Place {
  /** Above stderr, to be passed on. */
  descriptors: number[]
  env: NodeJS.ProcessEnv
  /** Whether HUP was ignored when we were started, as by nohup. */
  isHangupIgnored: boolean
  mark: string
  /**
   * Whether the command stays in our process group, which it does wherever there is a terminal: only the foreground
   * group may read from it, and its Ctrl-C and its hangup go to all of that group.
   */
  sharesGroup: boolean
}

/** To be called before anything is opened. */
export function placeOfCommand(): Place {
  const mark = randomBytes(markBytes).toString('hex')
  const above = (process.env[markVariable] ?? '').split(':').filter((one) => one !== '')
  return {
    descriptors: inheritedDescriptors(),
    env: { ...process.env, [markVariable]: [...above.slice(-marksMax), mark].join(':') },
    isHangupIgnored: isHangupIgnored(),
    mark,
    sharesGroup: hasTerminal(),
  }
}

/** How to spawn what runs there, with one more descriptor as a pipe if one is named. */
function spawnOptions({ descriptors, env, sharesGroup }: Place, pipe: number | undefined): SpawnOptions {
  const highest = Math.max(2, pipe ?? 0, ...descriptors)
  const others = Array.from({ length: highest - 2 }, (_, index) => {
    const number = index + 3
    if (number === pipe) return 'pipe'
    return descriptors.includes(number) ? number : 'ignore'
  })
  return { detached: !sharesGroup, env, stdio: ['inherit', 'inherit', 'inherit', ...others] }
}

/** A command, or what becomes it, with the guard beside it. */
export interface Launched {
  process: ChildProcess
  pid: number
  guard: Guard
  mark: string
}

/** Starts a guard and, beside it, the program. Where that is not possible, why is said. */
export async function launch(
  { program, words, place, pipe }: { program: string; words: readonly string[]; place: Place; pipe?: number },
  { name, say }: { name: string; say: (text: string) => void },
): Promise<{ launched: Launched } | { error: unknown }> {
  let guard: Guard | undefined
  try {
    guard = await Guard.start(place.mark, place.descriptors)
    const child = spawn(program, words, spawnOptions(place, pipe))
    await once(child, 'spawn')
    // A child that became another user's cannot be signalled; that must not end its wrapper.
    child.on('error', () => {})
    const pid = child.pid ?? 0
    guard.over(place.sharesGroup ? pid : -pid)
    return { launched: { process: child, pid, guard, mark: place.mark } }
  } catch (error) {
    await guard?.dismiss()
    say(`${name} cannot be started: ${messageOf(error)}`)
    return { error }
  }
}

/** Resolves with the exit code of a process: its own, or 128+n if a signal ended it. */
export function exitOfChild(process: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    process.once('exit', (code, signal) => resolve(code ?? exitOf(signal ?? 'SIGKILL')))
  })
}
