import { strictEqual } from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { built } from './built.ts'
import { type Figure, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'
import type { Serving } from './service-child.ts'

const { connect } = (await import(new URL('client.js', built).href)) as typeof import('../src/client.ts')

const clients = 4
const callers = 32
/** After so many commands a client is closed, and another takes its place. */
const commandsOfClient = 20_000
const samples = 40

/** Clients come and go, and acquire and release. The memory of the service is sampled all along. */
async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const commands = smoke ? 2_000 : 2_000_000
  const extension = extname(import.meta.url)
  const child = fork(join(dirname(fileURLToPath(import.meta.url)), `service-child${extension}`), [folder], {
    execArgv: extension === '.ts' ? ['--import', 'tsx'] : [],
  })
  const exited = once(child, 'exit')
  const { root } = await message<Serving>(child)
  let done = 0
  let lives = 0
  const memory: number[] = []
  const started = performance.now()
  const life = async (index: number) => {
    while (done < commands) {
      const { close, locks } = await connect({ dir: root })
      lives += 1
      let own = 0
      const caller = async (at: number) => {
        while (own < commandsOfClient && done < commands) {
          const { lock_id } = await locks.acquire({ name: `bench-${index}-${at}`, holder: 'bench' })
          await locks.release({ lock_id })
          own += 2
          done += 2
          if (done >= (memory.length * commands) / samples) memory.push(residentMegabytes(child))
        }
      }
      await Promise.all(Array.from({ length: callers }, (_, at) => caller(at)))
      await close()
    }
  }
  await Promise.all(Array.from({ length: clients }, (_, index) => life(index)))
  const seconds = (performance.now() - started) / 1000
  child.send('end')
  await message(child)
  // It has no more to do than to end by itself: no handle is left.
  const [code] = (await exited) as [number | null]
  strictEqual(code, 0)
  const warm = memory.slice(memory.length / 5)
  const [before, after] = [warm.slice(0, warm.length / 4), warm.slice((-1 * warm.length) / 4)]
  return [
    { what: 'commands', value: done, unit: 'commands', note: `${lives} clients in ${Math.round(seconds)} s` },
    { what: 'resident memory after warm-up', value: median(before), unit: 'MB' },
    { what: 'resident memory at the end', value: median(after), unit: 'MB' },
    {
      what: 'memory at the end ÷ after warm-up',
      value: median(after) / median(before),
      unit: '×',
      note: memory.map((each) => Math.round(each)).join(' '),
      bar: { kind: 'ratio', at_most: 1.15 },
    },
  ]
}

/** Without the mapped tables of the database, which the system drops from memory when it needs the space. */
function residentMegabytes({ pid }: ChildProcess): number {
  const [, kilobytes] = /RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kilobytes) / 1024
}

async function message<T>(child: ChildProcess): Promise<T> {
  const [answer] = await once(child, 'message')
  return answer as T
}

await runAsProgram({
  name: 'service-long',
  asks: 'does the memory of a service stay flat over 2,000,000 commands, while clients come and go?',
  run,
})
