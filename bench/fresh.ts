import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { type Figure, latencies, median } from './figures.ts'

/** Runs one step on a built ledger in a new process. */
export const freshProgram = fileURLToPath(new URL('million-fresh.mjs', import.meta.url))

/** The report of a step. */
export type Said = Partial<Record<string, number>>

export function inFreshProcess<Answer = Said>(step: string, root: string, ...words: string[]): Answer {
  const argv = [freshProgram, step, root, ...words]
  const { status, stderr, stdout } = spawnSync(process.execPath, argv, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the step ${step} failed: ${stderr}`)
  return JSON.parse(stdout) as Answer
}

export function openFigure(what: string, millis: number[]): Figure {
  return { what, value: median(millis), unit: 'ms', ...latencies(millis), bar: { kind: 'absolute', at_most: 1_000 } }
}
