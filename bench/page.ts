import { readFileSync, writeFileSync } from 'node:fs'
import { type Figure, meets, rounded } from './figures.ts'
import type { Machine } from './machine.ts'

/** The latest figures of each bench, and the machine that it ran on. */
export type Results = Record<string, { command: string; figures: Figure[]; machine: Machine; time: string }>

const begin = '<!-- figures: written by npm run bench -- --docs -->'
const end = '<!-- end of figures -->'

/** Puts the figures between the two marks of a page. The rest of the page does not change. */
export function writeFigures(page: string, results: Results): void {
  const text = readFileSync(page, 'utf8')
  const [before, rest] = text.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined) throw new Error(`${page} has no place for figures`)
  writeFileSync(page, `${before}${begin}\n${sectionsOf(results)}\n${end}${after}`)
}

/** A heading, the machine and a table for each bench. */
export function sectionsOf(results: Results): string {
  return Object.entries(results)
    .map(([name, { command, figures, machine, time }]) =>
      [
        `### ${name}`,
        '',
        `\`${command}\`, ${time.slice(0, 10)}, commit ${machine.commit}, Node ${machine.node}; ${machine.cpu}, ${machine.cores} cores, load ${machine.load_1m.toFixed(1)}; ${machine.file_system}, fdatasync p50 ${rounded(machine.sync_p50_ms)} ms, p99 ${rounded(machine.sync_p99_ms)} ms.`,
        '',
        '| figure | value | p50 ms | p99 ms | max ms | samples | bar | |',
        '|---|---|---|---|---|---|---|---|',
        ...figures.map(rowOf),
        '',
      ].join('\n'),
    )
    .join('\n')
}

function rowOf(figure: Figure): string {
  const { bar, max_ms, note = '', p50_ms, p99_ms, samples = '', unit, value, what } = figure
  const millis = [p50_ms, p99_ms, max_ms].map((each) => (each === undefined ? '' : rounded(each)))
  const limit = bar?.at_least === undefined ? `≤ ${bar?.at_most}` : `≥ ${bar.at_least}`
  const verdict = bar === undefined ? '' : `${limit} ${meets(figure) ? 'met' : '**missed**'}`
  return `| ${[what, `${rounded(value)} ${unit}`, ...millis, samples, verdict, note].join(' | ')} |`
}
