import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Line } from '../../fixtures/crash/asks.ts'

export interface Ended {
  lines: Line[]
  signal: NodeJS.Signals | null
  code: number | null
  stderr: string
}

/** When a writer is killed: so long after it is ready, or never, because it does so itself. */
export interface KillTime {
  afterMillis?: number
}

/** By then a program that ends by itself has ended, however busy the machine is. */
const lifeMillisMax = 120_000

/** Runs a fixture until it is killed or ends, and returns the whole lines that it wrote. */
export async function runWriter(
  program: string,
  programArguments: string[],
  { afterMillis }: KillTime,
): Promise<Ended> {
  const child = spawn(process.execPath, [program, ...programArguments], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  let stderr = ''
  let timer: NodeJS.Timeout | undefined
  const killIn = (millis: number) => {
    timer ??= setTimeout(() => child.kill('SIGKILL'), millis)
  }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    if (text.includes('"ready"')) killIn(afterMillis ?? lifeMillisMax)
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk
  })
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (...ending) => resolve(ending))
  })
  clearTimeout(timer)
  const whole = text.slice(0, text.lastIndexOf('\n') + 1)
  const lines = whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]))
  return { lines, signal, code, stderr }
}

/** Deliverable folders with a file of their own, below a root. */
export function makeDeliverables(root: string, names: readonly string[]): void {
  for (const name of names) {
    mkdirSync(join(root, name))
    writeFileSync(join(root, name, '_STATUS.md'), '# Status\n')
  }
}
