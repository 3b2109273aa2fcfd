import { ok, strictEqual } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { commandPath, newLedger } from './built.ts'
import type { Figure } from './figures.ts'
import { governed } from './governed.ts'
import { type BenchOptions, runAsProgram } from './program.ts'

const callers = 64
/** The decisions of a run: one on its start, and one on its action. */
const decisionsOfRun = 2
const shipped = fileURLToPath(new URL('../contract/v1/policy', import.meta.url))

/** How fast `policy diff --replay` makes recorded decisions again, under two policies. */
async function run({ folder, smoke }: BenchOptions): Promise<Figure[]> {
  const runs = smoke ? callers : 50_000
  const root = join(folder, 'root')
  const ledger = await newLedger(root)
  const { startRun, tool } = await governed(ledger)
  const left = Array.from({ length: runs }).keys()
  const caller = async () => {
    for (const _ of left) {
      const run_id = await startRun()
      const { decision_id } = await ledger.runs.authorize({ run_id, action: tool(run_id) })
      await ledger.runs.record({ run_id, decision_id, outcome: 'success' })
      await ledger.runs.complete({ run_id, outcome_reason: 'done' })
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  await ledger.close()

  const other = join(folder, 'other')
  cpSync(shipped, other, { recursive: true })
  const lanes = join(other, 'lanes.yaml')
  writeFileSync(lanes, readFileSync(lanes, 'utf8').replace('- test.*', '- tests.*'))
  const words = ['policy', 'diff', 'in-force', other, '--replay', '--dir', root, '--json']
  const { replay } = JSON.parse(execFileSync(process.execPath, [commandPath, ...words], { encoding: 'utf8' })) as {
    replay: { decisions: number; millis: number; newly_denied: number; unknown: number }
  }
  // The run above has a decision on its start as well.
  strictEqual(replay.decisions, runs * decisionsOfRun + 1)
  strictEqual(replay.newly_denied, runs)
  strictEqual(replay.unknown, 0)
  ok(replay.millis > 0)
  const value = (replay.decisions / replay.millis) * 1000
  const bar = { kind: 'absolute' as const, at_least: 20_000 }
  return [{ what: 'policy diff --replay', value, unit: 'decisions/s', note: `${replay.decisions} decisions`, bar }]
}

await runAsProgram({
  name: 'policy-replay',
  asks: 'how many recorded decisions a second does "policy diff --replay" make again, under two policies?',
  run,
})
