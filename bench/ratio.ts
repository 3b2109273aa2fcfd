import { type Figure, latencies, median } from './figures.ts'
import type { Yardstick } from './yardstick.ts'

/** A workload to compare with the yardstick. */
export interface Workload {
  what: string
  /** The entries of one run, and the batch size with which the yardstick writes the same number of puts. */
  entries: number
  inBatch: number
  /** Preparation, which is not timed. */
  prepare?(): Promise<void>
  /** Writes the entries once. The latencies of its calls are added to `millis`. */
  write(millis: number[]): Promise<void>
}

/**
 * Runs a workload and the yardstick in turn, in this process and on this disk, after a warm-up of both. The figures are
 * medians; the ratio is the median of the runs' own ratios, so that a slow moment of the machine affects both sides.
 */
export async function againstYardstick(
  yardstick: Yardstick,
  { entries, inBatch, prepare, what, write }: Workload,
  { runs, ratioAtLeast }: { runs: number; ratioAtLeast?: number },
): Promise<Figure[]> {
  await prepare?.()
  await write([])
  await yardstick.write(entries, inBatch)

  const millis: number[] = []
  const rates: number[] = []
  const yards: number[] = []
  for (let run = 0; run < runs; run += 1) {
    await prepare?.()
    // The order alternates, because the second has to compact data of the first.
    if (run % 2 === 1) yards.push(await yardstick.write(entries, inBatch))
    const started = performance.now()
    await write(millis)
    rates.push((entries / (performance.now() - started)) * 1000)
    if (run % 2 === 0) yards.push(await yardstick.write(entries, inBatch))
  }
  const ratios = rates.map((rate, run) => rate / (yards[run] ?? Number.NaN))
  const ratio: Figure = { what: `${what}: ratio`, value: median(ratios), unit: 'yardsticks' }
  return [
    { what, value: median(rates), unit: 'entries/s', ...latencies(millis) },
    { what: `${what}: yardstick`, value: median(yards), unit: 'puts/s', note: `${inBatch} a batch` },
    {
      ...ratio,
      note: `runs ${ratios.map((each) => each.toFixed(2)).join(' ')}`,
      ...(ratioAtLeast === undefined ? {} : { bar: { kind: 'ratio', at_least: ratioAtLeast } }),
    },
  ]
}
