import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { Duplex } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { layoutOf } from '../../src/disk/layout.ts'
import { socketOf } from '../../src/disk/service-socket.ts'
import { root } from '../runner.ts'
import { temporaryRoot } from './ledger.ts'
import { distFor } from './other-user.ts'

/** The built command. `LOCKSTEP_TEST_DIST` names another build of it. */
export const dist = process.env.LOCKSTEP_TEST_DIST ?? join(root, 'dist')
const barrier = join(root, 'test/support/barrier.mjs')
/** The configuration folder of the user: `init` writes the operator token there, and never to the real one. */
export const configHome = join(temporaryRoot(), 'config')

/** How a command ended. */
export interface Ended {
  words: readonly string[]
  status: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** The document on stdout, or an empty one where there is none. */
  json: Record<string, unknown>
}

export interface CommandOptions {
  cwd?: string
  env?: Record<string, string>
  /** What the command reads from stdin; nothing by default. */
  stdin?: string | Uint8Array
  /** Runs as this user and group. Needs root. */
  uid?: number
  /** Without `--json`: lines for people. */
  isForPeople?: boolean
  /** A module loaded before the program, by its path. */
  preload?: string
  /** Words in front of node, as `unshare -m`. */
  wrapper?: readonly string[]
  /** Called in the moment in which commands that start together are let go. */
  onRelease?: () => void
}

/** Runs `lockstep`, with `--json` unless told otherwise, as a process of its own and waits for its end. */
export function lockstep(words: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  const preload = options.preload === undefined ? [] : ['--import', pathToFileURL(options.preload).href]
  return ended(start(words, preload, options), words, options.stdin)
}

/** Loads several commands, which wait before they read their words, then lets go of all of them at one moment. */
export async function lockstepTogether(
  commands: readonly (readonly string[])[],
  options: CommandOptions = {},
): Promise<Ended[]> {
  const env = { ...options.env, LOCKSTEP_TEST_HOLD: '1' }
  const children = commands.map((words) => start(words, ['--import', pathToFileURL(barrier).href], { ...options, env }))
  const ends = children.map((child, index) => ended(child, commands[index] ?? []))
  await Promise.all(children.map((child) => Promise.race([once(gateOf(child), 'data'), once(child, 'exit')])))
  for (const child of children) gateOf(child).write('g')
  options.onRelease?.()
  return Promise.all(ends)
}

/** Ends the service of a ledger that a hook or a client has started, if one runs. */
export async function stopService(dir: string): Promise<void> {
  const { owner, socket } = layoutOf(dir)
  const pid = Number(/"pid":\s*(\d+)/.exec(readFileSync(owner, 'utf8'))?.[1])
  const isOpen = () =>
    new Promise<boolean>((resolve) => {
      const probe = connect(socketOf(layoutOf(dir)) ?? socket, () => {
        probe.destroy()
        resolve(true)
      })
      probe.on('error', () => resolve(false))
    })
  if (!(await isOpen())) return
  process.kill(pid, 'SIGTERM')
  while (await isOpen()) await new Promise((resolve) => setTimeout(resolve, 20))
}

function start(words: readonly string[], nodeOptions: readonly string[], options: CommandOptions): ChildProcess {
  const { cwd, env, isForPeople, uid, wrapper = [] } = options
  const main = join(uid === undefined ? dist : distFor(uid, dist), 'cli/main.js')
  const argv = [...wrapper, process.execPath, ...nodeOptions, main, ...words, ...(isForPeople ? [] : ['--json'])]
  return spawn(argv[0] ?? '', argv.slice(1), {
    cwd: cwd ?? root,
    env: { ...process.env, LOCKSTEP_DIR: undefined, LOCKSTEP_ACTOR: undefined, XDG_CONFIG_HOME: configHome, ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
}

/** The fourth channel of a child: it says that it is ready, and hears when to go. */
function gateOf(child: ChildProcess): Duplex {
  const gate = child.stdio[3]
  if (gate instanceof Duplex) return gate
  throw new Error('the child has no gate')
}

async function ended(child: ChildProcess, words: readonly string[], stdin?: string | Uint8Array): Promise<Ended> {
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // A command that ends without reading is no error of the test's.
  for (const stream of [child.stdin, gateOf(child)]) stream?.on('error', () => {})
  child.stdin?.end(stdin)
  await once(child, 'close')
  return { words, status: child.exitCode, signal: child.signalCode, stdout, stderr, json: documentIn(stdout) }
}

function documentIn(stdout: string): Record<string, unknown> {
  try {
    return JSON.parse(stdout) as Record<string, unknown>
  } catch {
    return {}
  }
}
