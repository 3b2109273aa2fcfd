import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect } from '../../src/client.ts'
import { createLedger } from '../../src/nouns/create.ts'
import { until } from '../ledger/stage.ts'
import { root as packageRoot } from '../runner.ts'
import { caseWork } from '../support/case-work.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

/** The service of a ledger as a process of its own. */
export interface ServiceProcess {
  root: string
  /** Starts the service and waits until it answers. */
  start: () => Promise<void>
  /** Ends the service with a signal and waits for its end. */
  kill: (signal: NodeJS.Signals) => Promise<void>
}

/** A test with a ledger whose service is a process. Afterwards every service is ended and the ledger is verified. */
export function withServiceProcess(work: (service: ServiceProcess) => Promise<void>): () => Promise<void> {
  return async () => {
    const root = temporaryRoot()
    await createLedger({ dir: root, actor: testActor, policy: false })
    caseWork(root)
    let child: ChildProcess | undefined
    const start = async () => {
      const words = [join(packageRoot, 'dist/cli/main.js'), 'serve', '--dir', root]
      child = spawn(process.execPath, words, { stdio: 'ignore' })
      await until('the service answers', async () => {
        const client = await connect({ dir: root }).catch(() => undefined)
        await client?.close()
        return client !== undefined
      })
    }
    const kill = async (signal: NodeJS.Signals) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill(signal)
      await exited
    }
    try {
      await work({ root, start, kill }).catch(asPlainError)
    } finally {
      await kill('SIGKILL')
      for (const pid of servicesOf(root)) process.kill(pid, 'SIGTERM')
      await until('all services have ended', () => servicesOf(root).length === 0)
    }
    await endsWithVerify(root)
  }
}

/** The processes that serve a ledger, as far as /proc shows them. */
export function servicesOf(root: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => {
    const words = commandLine(pid)
    return words[0] === process.execPath && words.includes('serve') && words.includes(root)
  })
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return []
  }
}
