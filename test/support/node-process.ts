import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { layoutOf } from '../../src/disk/layout.ts'
import { socketOf } from '../../src/disk/service-socket.ts'
import { root as project } from '../runner.ts'
import { configHome } from './command.ts'
import { temporaryRoot } from './ledger.ts'
import type { NodesLedger } from './nodes.ts'
import { ask, until } from './service.ts'

const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')
const started = new Set<ChildProcess>()

/** A node as a process of its own: `lockstep serve` with the token of the nodes. */
export class NodeProcess {
  readonly dir: string
  readonly #tokenFile = join(temporaryRoot(), 'token')
  #child: ChildProcess | undefined
  #said = ''

  constructor({ dirs, token }: NodesLedger, at: number) {
    this.dir = dirs[at] ?? ''
    writeFileSync(this.#tokenFile, token, { mode: 0o600 })
  }

  get said(): string {
    return this.#said
  }

  get socket(): string {
    return socketOf(layoutOf(this.dir)) ?? ''
  }

  /** Starts it, and resolves when it answers. */
  async start(): Promise<void> {
    const words = ['--dir', this.dir, 'serve', '--listen', '127.0.0.1:0', '--node-token', this.#tokenFile]
    const child = spawn(process.execPath, [main, ...words], {
      env: { ...process.env, XDG_CONFIG_HOME: configHome },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    started.add(child)
    this.#child = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = `${this.#said}${text}`.slice(-8_000)
    })
    const answers = async () => {
      if (child.exitCode !== null) throw new Error(`the node ended with ${child.exitCode}: ${this.#said}`)
      const { status } = await ask(this.socket, '/livez').catch(() => ({ status: 0 }))
      return status === 200
    }
    await until('the node answers', answers, 60_000)
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name)
  }

  /** Ends it with a signal, and resolves with its exit code. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
    started.delete(child)
    return child.exitCode
  }
}

process.once('exit', () => {
  for (const child of started) child.kill('SIGKILL')
})
