import { strictEqual } from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Pool } from 'undici'
import type { LocksApi } from '../src/index.ts'
import { built, newLedger } from './built.ts'
import { type Figure, latencies, median } from './figures.ts'
import { type BenchOptions, runAsProgram } from './program.ts'
import type { Serving } from './service-child.ts'

const callers = 64
const batchLines = 100
const { connect } = (await import(new URL('client.js', built).href)) as typeof import('../src/client.ts')

/** One way to acquire and release. It makes about as many pairs as it is told, and returns how many it made. */
type Way = (pairs: number, millis: number[]) => Promise<number>

async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const extension = extname(import.meta.url)
  const child = fork(join(dirname(fileURLToPath(import.meta.url)), `service-child${extension}`), [folder], {
    execArgv: extension === '.ts' ? ['--import', 'tsx'] : [],
  })
  const serving = await message<Serving>(child)
  const local = await newLedger(join(folder, 'local'))
  const client = await connect({ dir: serving.root })
  const pools = [serving.socket, serving.bare].map(
    (socketPath) => new Pool('http://localhost', { connections: callers, socketPath }),
  ) as [Pool, Pool]
  const ways: Record<string, Way> = {
    'in process': manyCallers(local.locks),
    'the client': manyCallers(client.locks),
    'batches of 100': batches(pools[0]),
    'one POST each': manyCallers(posts(pools[0]), 1 / 4),
    'a bare Hono route': manyCallers(posts(pools[1]), 1 / 4),
  }
  const figures = await measured(ways, { pairs: smoke ? 256 : 12_800, runs: smoke ? 1 : 5 })
  await client.close()
  await Promise.all(pools.map((pool) => pool.close()))
  await local.log.verify()
  await local.close()
  child.send('end')
  const { entries } = await message<{ entries: number }>(child)
  strictEqual(entries, 2 + 2 * made, 'one entry for each acquire and each release that was served')
  return figures
}

let made = 0

async function measured(
  ways: Record<string, Way>,
  { pairs, runs }: { pairs: number; runs: number },
): Promise<Figure[]> {
  const rates: Record<string, number[]> = {}
  const millis: Record<string, number[]> = {}
  for (let run = 0; run <= runs; run += 1) {
    for (const [name, way] of Object.entries(ways)) {
      const times: number[] = []
      const started = performance.now()
      const done = await way(pairs, times)
      const rate = (2 * done * 1000) / (performance.now() - started)
      if (['the client', 'batches of 100', 'one POST each'].includes(name)) made += done
      // The first run is the warm-up.
      if (run === 0) continue
      rates[name] = [...(rates[name] ?? []), rate]
      millis[name] = (millis[name] ?? []).concat(times)
    }
  }
  const ratio = (name: string, to: string, atLeast: number): Figure => {
    const all = (rates[name] ?? []).map((rate, run) => rate / (rates[to]?.[run] ?? Number.NaN))
    return {
      what: `${name} ÷ ${to}`,
      value: median(all),
      unit: 'ratio',
      note: `runs ${all.map((each) => each.toFixed(2)).join(' ')}`,
      bar: { kind: 'ratio', at_least: atLeast },
    }
  }
  return [
    ...Object.keys(ways).map((name) => ({
      what: name,
      value: median(rates[name] ?? []),
      unit: 'calls/s',
      ...latencies(millis[name] ?? []),
    })),
    ratio('one POST each', 'a bare Hono route', 0.5),
    ratio('the client', 'in process', 0.7),
    ratio('batches of 100', 'in process', 0.7),
  ]
}

interface Locks {
  acquire: (input: { name: string; holder: string; lock_id: string }) => Promise<unknown>
  release: (input: { lock_id: string }) => Promise<unknown>
}

/** Each caller acquires and releases a lock of its own. Slow ways make a part of the pairs. */
function manyCallers(locks: Locks | LocksApi, part = 1): Way {
  return async (pairs, millis) => {
    const each = Math.ceil((pairs * part) / callers)
    const caller = async (index: number) => {
      for (let pair = 0; pair < each; pair += 1) {
        const lock_id = newLockId()
        const started = performance.now()
        await locks.acquire({ name: `bench-${index}`, holder: 'bench', lock_id })
        millis.push(performance.now() - started)
        await locks.release({ lock_id })
      }
    }
    await Promise.all(Array.from({ length: callers }, (_, index) => caller(index)))
    return each * callers
  }
}

const newLockId = () => `lck_${randomUUID()}`

/** Every call is a request of its own. */
function posts(pool: Pool): Locks {
  const post = async (path: string, input: object) => {
    const headers = { 'content-type': 'application/json' }
    const { body, statusCode } = await pool.request({ method: 'POST', path, headers, body: JSON.stringify(input) })
    const answer = await body.json()
    strictEqual(statusCode, 200, JSON.stringify(answer))
    return answer
  }
  return {
    acquire: (input) => post('/v1/locks/acquire', input),
    release: (input) => post('/v1/locks/release', input),
  }
}

/** Two callers send batches: one batch acquires 100 locks, the next releases them. */
function batches(pool: Pool): Way {
  const post = async (calls: object[]) => {
    const headers = { 'content-type': 'application/x-ndjson' }
    const body = calls.map((call) => JSON.stringify(call)).join('\n')
    const answer = await pool.request({ method: 'POST', path: '/v1/batch', headers, body })
    const lines = (await answer.body.text()).trimEnd().split('\n')
    for (const line of lines) strictEqual(JSON.parse(line).status, 200, line)
    strictEqual(lines.length, calls.length)
  }
  return async (pairs, millis) => {
    const each = Math.ceil(pairs / batchLines / 2)
    const caller = async (index: number) => {
      for (let batch = 0; batch < each; batch += 1) {
        const ids = Array.from({ length: batchLines }, newLockId)
        const started = performance.now()
        await post(
          ids.map((lock_id, at) => {
            const input = { name: `batch-${index}-${at}`, holder: 'bench', lock_id }
            return { call: 'locks.acquire', input }
          }),
        )
        millis.push(performance.now() - started)
        await post(ids.map((lock_id) => ({ call: 'locks.release', input: { lock_id } })))
      }
    }
    await Promise.all([caller(0), caller(1)])
    return each * 2 * batchLines
  }
}

async function message<T>(child: ChildProcess): Promise<T> {
  const [answer] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the server process ended with ${code}`))),
  ])
  return answer as T
}

await runAsProgram({
  name: 'service',
  asks: 'how much of the rate in process do 64 callers in another process keep?',
  run,
})
