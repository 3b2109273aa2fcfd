import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../ledger/stage.ts'
import { root as packageRoot } from '../runner.ts'
import { temporaryRoot } from './ledger.ts'

/** A witness as a process of its own. */
export interface WitnessProcess {
  dir: string
  /** The line `witness <name> <vkey> <url>` of a policy. */
  policyLine: string
  stderr: () => string
  url: string
  vkey: string
  /** Ends the process with a signal, waits for its end, and returns its exit code. */
  kill: (signal: NodeJS.Signals) => Promise<number | null>
}

export interface WitnessToStart {
  dir?: string
  /** Key lines of the logs to watch. */
  logs: readonly string[]
  name?: string
  port?: number
  words?: readonly string[]
}

const started = new Set<ChildProcess>()

/** Starts `lockstep witness serve` on a free port of this machine, and waits until it listens. */
export async function startWitness(asked: WitnessToStart): Promise<WitnessProcess> {
  const { dir = temporaryRoot(), logs, name = 'witness.example/w1', port = 0, words = [] } = asked
  const file = join(temporaryRoot(), 'logs.txt')
  writeFileSync(file, `# the logs\n\n${logs.map((line) => `${line}\n`).join('')}`)
  const main = join(packageRoot, 'dist/cli/main.js')
  const argv = ['witness', 'serve', dir, '--name', name, '--logs', file, '--listen', `127.0.0.1:${port}`, ...words]
  const child = spawn(process.execPath, [main, ...argv], { stdio: ['ignore', 'ignore', 'pipe'] })
  started.add(child)
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const urlIn = () => / at (https?:\/\/\S+)/.exec(stderr)?.[1]
  await until('the witness listens', () => urlIn() !== undefined || child.exitCode !== null)
  const url = urlIn()
  if (url === undefined) throw new Error(`the witness did not start: ${stderr}`)
  const vkey = readFileSync(join(dir, 'key.pub'), 'utf8').trim()
  const kill = async (signal: NodeJS.Signals) => {
    started.delete(child)
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
    return child.exitCode
  }
  return { dir, policyLine: `witness ${name} ${vkey} ${url}`, stderr: () => stderr, url, vkey, kill }
}

/** Ends all witnesses that were started. */
export function killWitnesses(): void {
  for (const child of started) child.kill('SIGKILL')
  started.clear()
}
