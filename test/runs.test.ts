import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { loadOf, type Run, resultIn, tableOf } from './recorded-runs.ts'
import { compiled } from './support/compiled.ts'
import { temporaryRoot } from './support/ledger.ts'

const runs = suite('the recorder of runs')

runs('reads counts and the names of what failed, in colour too', () => {
  equal(resultIn('ok    a.test.ts\n3009 passed, 0 failed\n'), { passed: 3009, failed: 0, failures: [] })
  const output = 'FAIL  test/a.test.ts  5 tests, 2 ms: 1 of 5 did not pass\n \x1b[31mFAIL\x1b[0m  a table  "is whole"\n'
  equal(resultIn(`${output}4 passed, 1 failed\n`), {
    passed: 4,
    failed: 1,
    failures: ['FAIL  test/a.test.ts  5 tests, 2 ms: 1 of 5 did not pass', 'FAIL  a table  "is whole"'],
  })
  equal(resultIn('npm error'), { passed: 0, failed: 1, failures: ['the tests did not end'] })
})

runs('puts load beside every second run, and prints a table', () => {
  equal([1, 2, 3].map(loadOf), ['idle', 'loaded', 'idle'])
  const run: Run = {
    commit: 'c'.repeat(40),
    date: '2026-01-02T03:04:05.000Z',
    load: 'idle',
    passed: 1,
    failed: 0,
    seconds: 9,
    failures: [],
  }
  match(tableOf([run]), '| 1 | 2026-01-02 03:04 | idle | 1 | 0 | 9 s |  |')
})

runs('resumes where it stopped, builds once, and counts only runs at the commit', () => {
  const { git, recorded, record, root } = project()
  equal(record('1').status, 0)
  equal(record('2').status, 0)
  equal(
    recorded().map(({ load, passed }) => [load, passed]),
    [
      ['idle', 2],
      ['loaded', 2],
    ],
  )
  match(record('2').stdout, '| 2 |')
  is(recorded().length, 2, 'nothing was left to do')
  git('commit', '-qm', 'next', '--allow-empty')
  equal(record('1').status, 0)
  is(recorded().length, 3)
  is(readFileSync(join(root, 'built'), 'utf8'), 'b\nb\nb\n')
})

runs('refuses a tree with changes', () => {
  const { record, recorded, root } = project()
  writeFileSync(join(root, 'package.json'), '{}')
  const { status, stderr } = record('1')
  is(status, 2)
  match(stderr, 'not committed')
  equal(recorded(), [])
})

runs('ends its loops and the tests when it is ended', async () => {
  const { results, root } = project(
    "require('fs').writeFileSync('pid', String(process.pid)); setInterval(() => {}, 99)",
  )
  writeFileSync(results, `${JSON.stringify({ commit: commitOf(root) })}\n`)
  const recorder = spawn(process.execPath, [compiled('test/runs.ts'), '--runs', '2', '--results', results], {
    cwd: root,
  })
  const pidFile = join(root, 'pid')
  await until(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '')
  const pids = [Number(readFileSync(pidFile, 'utf8')), ...loopsOf(recorder.pid ?? 0)]
  is(pids.length, 5)
  recorder.kill('SIGINT')
  const [status] = await once(recorder, 'exit')
  is(status, 130)
  await until(() => pids.every((pid) => !isRunning(pid)))
})

runs.run()

/** A project with a test command of its own, and the recorder run in it. */
function project(test = "console.log('2 passed, 0 failed')") {
  const root = temporaryRoot()
  const results = join(temporaryRoot(), 'runs.jsonl')
  const scripts = { build: 'echo b >> built', test: 'node test.js' }
  writeFileSync(join(root, 'package.json'), JSON.stringify({ name: 'project', scripts }))
  writeFileSync(join(root, 'test.js'), test)
  writeFileSync(join(root, '.gitignore'), 'built\npid\n')
  const git = (...words: string[]) => {
    const who = ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false']
    const { status, stderr } = spawnSync('git', [...who, ...words], { cwd: root, encoding: 'utf8' })
    is(status, 0, stderr)
  }
  git('init', '-q')
  git('add', '.')
  git('commit', '-qm', 'first')
  const record = (count: string) =>
    spawnSync(process.execPath, [compiled('test/runs.ts'), '--runs', count, '--results', results], {
      cwd: root,
      encoding: 'utf8',
    })
  const recorded = (): Run[] =>
    existsSync(results)
      ? readFileSync(results, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
      : []
  return { git, record, recorded, results, root }
}

function commitOf(root: string): string {
  return spawnSync('git', ['rev-parse', 'HEAD'], { cwd: root, encoding: 'utf8' }).stdout.trim()
}

/** The pids of the loops that have the recorder's pid as their word. */
function loopsOf(recorder: number): number[] {
  const { stdout } = spawnSync('ps', ['-eo', 'pid=,ppid=,comm='], { encoding: 'utf8' })
  return stdout.split('\n').flatMap((line) => {
    const [pid, parent, name] = line.trim().split(/ +/)
    return Number(parent) === recorder && name === 'sh' ? [Number(pid)] : []
  })
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(isTrue: () => boolean): Promise<void> {
  const end = performance.now() + 60_000
  while (!isTrue()) {
    ok(performance.now() < end, 'it did not become so within 60 s')
    await new Promise((go) => setTimeout(go, 20))
  }
}
