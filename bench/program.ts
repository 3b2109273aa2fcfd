import { type Figure, lineOf } from './figures.ts'
import { benchFolder } from './machine.ts'

/** One question and how it is answered. A bench throws where an outcome is not what it must be. */
export interface Bench {
  name: string
  asks: string
  run(options: BenchOptions): Promise<Figure[]>
}

export interface BenchOptions {
  /** As little work as shows that the bench works; its figures say nothing and have no bars. */
  smoke: boolean
  /** An empty folder on a real disk, removed afterwards. */
  folder: string
}

/** Runs a bench as a program of its own: prints its figures, and hands them to the process that started it. */
export async function runAsProgram(bench: Bench): Promise<void> {
  const smoke = process.argv.includes('--smoke')
  const measured = await bench.run({ smoke, folder: benchFolder() })
  const figures = smoke ? measured.map(({ bar: _, ...figure }) => figure) : measured
  console.log([`\n${bench.name}: ${bench.asks}`, ...figures.map(lineOf)].join('\n'))
  process.send?.(figures)
  process.disconnect?.()
}
