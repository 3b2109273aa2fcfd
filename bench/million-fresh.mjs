/**
 * Runs one step on a built ledger in a separate process, so that open times and memory are those of a new process. It
 * is plain JavaScript, because a TypeScript loader would use memory. Prints one line of JSON.
 *
 *   node bench/million-fresh.mjs STEP FOLDER [COUNT]
 */
import { readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { governingLayout } from '../dist/disk/permissions.js'
import { openLedger } from '../dist/index.js'
import { openLog } from '../dist/log/level/open/open.js'
import { verifyExport } from '../dist/nouns/exports/export-verify.js'
import { rebuildViews } from '../dist/verify/rebuild.js'

const [step = '', dir = '', count = ''] = process.argv.slice(2)
const actor = { actor_id: 'bench', actor_type: 'system' }
const tenTimes = Array.from({ length: 10 })

/** Runs some work and adds its duration to its report. */
async function timed(work) {
  const started = performance.now()
  const said = await work()
  return { ms: performance.now() - started, ...said }
}

/** Does some work for each item. Reports the duration of each and the total number of listed items. */
async function timesOf(items, work) {
  const millis = []
  let listed = 0
  for (const item of items) {
    const started = performance.now()
    listed += await work(item)
    millis.push(performance.now() - started)
  }
  return { listed, millis }
}

function residentMegabytes() {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return Number(kilobytes) / 1024
}

async function withLedger(work) {
  const ledger = await openLedger({ dir, actor })
  const said = await timed(() => work(ledger))
  await ledger.close()
  return said
}

const steps = {
  /**
   * Opens the ledger, then acquires and releases one lock. The time is that of opening; the memory includes everything.
   */
  async open() {
    const atStart = residentMegabytes()
    const started = performance.now()
    const ledger = await openLedger({ dir, actor })
    const ms = performance.now() - started
    const atOpen = residentMegabytes()
    const first = await timed(async () => {
      const { lock_id } = await ledger.locks.acquire({ name: 'fresh', holder: 'bench', pids: [process.pid] })
      await ledger.locks.release({ lock_id })
    })
    const resident = residentMegabytes()
    const { size } = await ledger.head.get()
    await ledger.close()
    return { ms, at_start_mb: atStart, at_open_mb: atOpen, resident_mb: resident, pair_ms: first.ms, size }
  },
  /** Dies with the ledger open and an entry just written. */
  async die() {
    const ledger = await openLedger({ dir, actor })
    await ledger.locks.acquire({ name: 'died', holder: 'bench', pids: [] })
    process.kill(process.pid, 'SIGKILL')
    await new Promise(() => {})
  },
  verify: () => withLedger(async (ledger) => ({ entries: (await ledger.log.verify()).entries })),
  list: () => withLedger(async (ledger) => ({ listed: (await ledger.locks.list()).locks.length })),
  history: () =>
    withLedger(async (ledger) => ({ listed: (await ledger.locks.history({ name: 'busy-0' })).entries.length })),
  /** Reads records of runs all over the ledger, each for the first time. */
  runShow: () =>
    withLedger((ledger) => {
      const ids = Array.from({ length: 1_000 }, (_, index) => Math.floor((index * Number(count)) / 1_000))
      return timesOf([...new Set(ids)], async (index) => {
        await ledger.runs.get({ run_id: `run_${String(index).padStart(6, '0')}` })
        return 1
      })
    }),
  runList: () =>
    withLedger((ledger) =>
      timesOf(tenTimes, async () => (await ledger.runs.list({ limit: 1_000, status: 'running' })).runs.length),
    ),
  /** Reads the first page of events of runs all over the ledger. */
  auditRun: () =>
    withLedger((ledger) => {
      const ids = Array.from({ length: 1_000 }, (_, index) => Math.floor((index * Number(count)) / 1_000))
      return timesOf([...new Set(ids)], async (index) => {
        const run_id = `run_${String(index).padStart(6, '0')}`
        return (await ledger.audit.list({ run_id })).events.length
      })
    }),
  auditCase: () =>
    withLedger((ledger) =>
      timesOf(Array.from({ length: Math.min(100, Number(count)) }).keys(), async (index) => {
        const asked = { action_type: 'authz_decision', case_id: `CASE-${index}` }
        return (await ledger.audit.list(asked)).events.length
      }),
    ),
  runTree: () =>
    withLedger((ledger) =>
      timesOf(Array.from({ length: Math.min(10, Number(count)) }).keys(), async (index) => {
        const countOf = ({ children }) => 1 + children.reduce((sum, child) => sum + countOf(child), 0)
        return countOf(await ledger.runs.tree({ run_id: `run_above_${index}` }))
      }),
    ),
  /** Exports one tree several times at one size, and verifies each bundle. */
  exportTree: () =>
    withLedger(async (ledger) => {
      const human = { actor_id: 'lawyer', actor_type: 'human' }
      const { size } = await ledger.head.get()
      const said = { bytes: 0, entries: 0, millis: [], verifyMillis: [] }
      let bytes
      for (const time of Array.from({ length: 3 }).keys()) {
        const file = join(dir, `tree-${time}.tar.gz`)
        const started = performance.now()
        await ledger.exports.create({
          actor: human,
          file,
          lane_id: 'release',
          role_id: 'operator',
          scope: { case_id: 'CASE-0', export_reason: 'measured' },
          select: { run_id: 'run_above_0' },
          size,
        })
        const written = performance.now()
        said.entries = (await verifyExport(file, { unauthenticated: true })).proven.entries
        said.millis.push(written - started)
        said.verifyMillis.push(performance.now() - written)
        const content = readFileSync(file)
        if (bytes !== undefined && !bytes.equals(content)) throw new Error('two exports of one size differ')
        bytes = content
        said.bytes = statSync(file).size
        rmSync(file)
      }
      return said
    }),
  async rebuild() {
    const layout = governingLayout(dir)
    const log = await openLog({ layout, openWaitSeconds: 1, command: 'bench', nonce: () => String(process.pid) })
    const said = await timed(async () => ({ entries: (await rebuildViews(log)).entries }))
    await log.close()
    return said
  },
}

console.log(JSON.stringify(await steps[step]()))
