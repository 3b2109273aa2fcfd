import { type Figure, lineOf } from './figures.ts'
import { benchFolder } from './machine.ts'

/** One question, and the function that answers it. A bench throws if an outcome is wrong. */
export interface Bench {
  name: string
  asks: string
  run(options: BenchOptions): Promise<Figure[]>
}

export interface BenchOptions {
  /** A run with the least work that shows that the bench works. Its figures mean nothing and have no bars. */
  smoke: boolean
  /** An empty folder on a real disk, removed afterwards. */
  folder: string
}

/** Runs a bench as a separate program: prints its figures, and sends them to the parent process. */
export async function runAsProgram(bench: Bench): Promise<void> {
  const smoke = process.argv.includes('--smoke')
  const measured = await bench.run({ smoke, folder: benchFolder() })
  const figures = smoke ? measured.map(({ bar: _, ...figure }) => figure) : measured
  console.log([`\n${bench.name}: ${bench.asks}`, ...figures.map(lineOf)].join('\n'))
  process.send?.(figures)
  process.disconnect?.()
}
