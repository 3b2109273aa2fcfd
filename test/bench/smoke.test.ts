// limit: 300
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { Figure } from '../../bench/figures.ts'
import { root } from '../runner.ts'
import { compiled } from '../support/compiled.ts'

const bench = suite('npm run bench')
const folder = mkdtempSync(join(tmpdir(), 'bench-smoke-'))
bench.after(() => rmSync(folder, { recursive: true, force: true }))

const run = (...words: string[]) =>
  spawnSync(process.execPath, [compiled('bench/run.ts'), ...words], { cwd: root, encoding: 'utf8' })

bench('runs every bench to its end, each asserting its own outcome', () => {
  const path = join(folder, 'smoke.json')
  const { status, stderr, stdout } = run('--smoke', '--results', path)
  is(status, 0, stdout + stderr)
  match(stdout, /^machine {2}.+ cores/m)
  match(stdout, /^software Node v\d+\.\d+\.\d+, commit \S+/m)
  const results = JSON.parse(readFileSync(path, 'utf8')) as Record<string, { figures: Figure[] }>
  equal(Object.keys(results).sort(), [
    'acquire-release',
    'audit-append',
    'beside',
    'command',
    'hooks',
    'million',
    'paths',
    'policy-replay',
    'postgres',
    'postgres-append',
    'promote',
    'runs',
    'runs-million',
    'service',
    'service-long',
    'staging',
  ])
  for (const [name, { figures }] of Object.entries(results)) {
    ok(figures.length > 0, name)
    for (const { bar, value, what } of figures) {
      ok(Number.isFinite(value) && value > 0, `${name}, ${what}: ${value}`)
      is(bar, undefined, `${name}, ${what} has no bar, for its figure says nothing`)
    }
  }
})

bench('refuses a word that no bench has in its name', () => {
  const { status, stderr } = run('--smoke', 'no-such-bench')
  is(status, 2)
  match(stderr, /no-such-bench/)
})
bench.run()
