import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { is, match, ok, throws } from 'uvu/assert'
import { type Results, writeFigures } from '../../bench/page.ts'
import { root } from '../runner.ts'

const page = suite('the page of figures')
const folder = mkdtempSync(join(tmpdir(), 'bench-page-'))
const marks = ['<!-- figures: written by npm run bench -- --docs -->', '<!-- end of figures -->']
const path = join(folder, 'benchmarks.md')
page.after(() => rmSync(folder, { recursive: true }))

const results: Results = {
  million: {
    command: 'npm run bench -- million',
    figures: [
      { what: 'verify', value: 61_234.5, unit: 'entries/s', bar: { kind: 'absolute', at_least: 60_000 } },
      {
        what: 'opening',
        value: 1_200,
        unit: 'ms',
        p50_ms: 1_200,
        samples: 5,
        bar: { kind: 'absolute', at_most: 1_000 },
      },
    ],
    machine: {
      cpu: 'Some CPU',
      cores: 2,
      file_system: 'ext4',
      sync_p50_ms: 0.25,
      sync_p99_ms: 1.5,
      load_1m: 0.1,
      node: 'v20.20.2',
      commit: 'abc1234',
    },
    time: '2026-01-02T03:04:05.678Z',
  },
}

page('replaces the figures between its marks and leaves the rest alone, however often', () => {
  writeFileSync(path, `before\n${marks.join('\nold\n')}\nafter\n`)
  writeFigures(path, results)
  const text = readFileSync(path, 'utf8')
  ok(text.startsWith('before\n') && text.endsWith('\nafter\n'))
  is(text.includes('old'), false)
  match(text, '| verify | 61,235 entries/s |  |  |  |  | ≥ 60000 met |  |')
  match(text, '| opening | 1,200 ms | 1,200 |  |  | 5 | ≤ 1000 **missed** |  |')
  match(text, 'commit abc1234, Node v20.20.2; Some CPU, 2 cores')
  writeFigures(path, results)
  is(readFileSync(path, 'utf8'), text)
})

page('has its place in the docs', () => {
  const docs = readFileSync(join(root, 'docs/reference/benchmarks.md'), 'utf8')
  for (const mark of marks) is(docs.split(mark).length, 2, mark)
})

page('refuses a page without the marks', () => {
  writeFileSync(path, 'nothing here\n')
  throws(() => writeFigures(path, results), /no place for figures/)
  is(readFileSync(path, 'utf8'), 'nothing here\n')
})
page.run()
