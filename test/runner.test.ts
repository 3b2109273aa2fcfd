// limit: 180
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { choose, type FileResult, findTests, judge, root, runFile, runFiles } from './runner.ts'

const fixtures = 'fixtures/runner'

/** What the runner must make of each fixture that ends by itself. */
const table: Record<string, { passed: number; failed: number; problem?: RegExp; output?: RegExp }> = {
  'exits-before': { passed: 0, failed: 1, problem: /^it exited with 0 before its tests had ended/ },
  'exits-early': { passed: 0, failed: 1, problem: /^it exited with 1 before its tests had ended/ },
  fails: { passed: 1, failed: 1, problem: /^1 of 2 did not pass$/, output: /FAIL.*"fails"/ },
  'fails-afterwards': { passed: 1, failed: 1, problem: /passed, but it exited with 1$/, output: /too late/ },
  'forgets-run': { passed: 0, failed: 1, problem: /or forgot \.run\(\)$/ },
  'has-no-tests': { passed: 0, failed: 1, problem: /^it has no tests$/ },
  'leaves-only': { passed: 1, failed: 1, problem: /^1 skipped, by \.skip or \.only$/ },
  passes: { passed: 2, failed: 0 },
  'runs-late': { passed: 1, failed: 1, problem: /several rounds/ },
  'setup-throws': { passed: 0, failed: 2, problem: /^2 of 2 did not pass$/ },
  skips: { passed: 1, failed: 1, problem: /^1 skipped, by \.skip or \.only$/ },
}
/** Fixtures that take longer than these limits, in ms. */
const limitsMs = { hangs: 4_000, 'leaves-open': 4_000, 'raises-limit': 1 }

test('every fixture is in a table', () => {
  const names = findTests(join(root, fixtures)).map((file) => file.slice(fixtures.length + 1, -'.test.ts'.length))
  equal(names.sort(), [...Object.keys(table), ...Object.keys(limitsMs)].sort())
})

test('each fixture that ends is counted correctly', async () => {
  const results = new Map<string, FileResult>()
  const report = (result: FileResult) => void results.set(result.file, result)
  await runFiles(Object.keys(table).map(fixture), { jobs: 2, limitMs: 60_000, report })
  for (const [name, expected] of Object.entries(table)) {
    const { passed, failed, problem = '', output = '' } = results.get(fixture(name)) ?? {}
    equal({ name, passed, failed }, { name, passed: expected.passed, failed: expected.failed })
    match(problem, expected.problem ?? /^$/)
    match(output, expected.output ?? /^/)
  }
})

test('a file that hangs is killed at its limit with all it started', async () => {
  const hanging = await watchHanging()
  const { passed, failed, problem } = await runFile(fixture('hangs'), { limitMs: limitsMs.hangs })
  equal({ passed, failed }, { passed: 0, failed: 1 })
  is(problem, 'its tests did not end within its limit of 4 s')
  await hanging.ended
})

test('a file that leaves something open is killed at its limit, and told so', async () => {
  const { passed, failed, problem } = await runFile(fixture('leaves-open'), {
    limitMs: limitsMs['leaves-open'],
  })
  equal({ passed, failed }, { passed: 1, failed: 1 })
  match(problem ?? '', /its process did not within its limit of 4 s: a timer, server or child process was left open/)
})

test('a first line raises the limit of a file', async () => {
  const { problem } = await runFile(fixture('raises-limit'), { limitMs: limitsMs['raises-limit'] })
  is(problem, undefined)
})

test('a Ctrl-C kills the running file with all it started', async () => {
  const hanging = await watchHanging()
  const { child, ended } = spawnRunner(['hangs'])
  await hanging.running
  child.kill('SIGINT')
  is((await ended).code, 130)
  await hanging.ended
})

test('the command ends with its count and exits with 0 only if all passed', async () => {
  const good = await spawnRunner(['runner/passes']).ended
  is(good.code, 0)
  match(good.output, /^ok {4}fixtures\/runner\/passes\.test\.ts {2}2 tests, \d+ ms\n2 passed, 0 failed\n$/)

  const bad = await spawnRunner(['passes', 'fails.', '--jobs', '1']).ended
  is(bad.code, 1)
  match(bad.output, /^FAIL {2}fixtures\/runner\/fails\.test\.ts.*Expected values to be deeply equal/s)
  match(bad.output, /\n3 passed, 1 failed\n$/)
})

test('the command fails where nothing runs', async () => {
  for (const args of [['no-such-file'], ['passes', 'no-such-file'], ['--dir', 'docs']]) {
    const { code, output } = await spawnRunner(args).ended
    is(code, 1, args.join(' '))
    match(output, /\n\d passed, 1 failed\n$/)
  }
  is((await spawnRunner(['passes', '--jobs', '0']).ended).code, 2)
})

test('patterns choose by any part of the path', () => {
  const files = ['test/core/lock.test.ts', 'test/log/lock.test.ts', 'test/tidy.test.ts']
  equal(choose(files, []), { chosen: files, unmatched: [] })
  equal(choose(files, ['core/', 'tidy', 'gone']), { chosen: [files[0], files[2]], unmatched: ['gone'] })
})

test('closing lines count in colour, and only whole', () => {
  const closing = '\n  Total:     3\x1b[32m\n  Passed:    3\x1b[39m\n  Skipped:   0\n  Duration:  1.00ms\n\n'
  const end = { code: 0, signal: null }
  equal(judge({ ...end, stdout: closing }), { passed: 3, failed: 0, problem: undefined })
  equal(judge({ ...end, stdout: closing.replace('Skipped', '') }).failed, 1)
  equal(judge({ ...end, stdout: closing, signal: 'SIGSEGV', code: null }).problem, 'it was killed by SIGSEGV')
})

function fixture(name: string): string {
  return `${fixtures}/${name}.test.ts`
}

/** Starts `test/run.ts` on the fixtures. */
function spawnRunner(args: string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/run.ts', '--dir', fixtures, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, output }))
  return { child, ended }
}

/**
 * Listens where `hangs.test.ts` and the child it starts connect to. `running` resolves when both did; a
 * connection that closes then is a process that ended, and `ended` resolves when both have.
 */
async function watchHanging(): Promise<{ running: Promise<void>; ended: Promise<void> }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  ok(address !== null && typeof address === 'object')
  process.env.RUNNER_TEST_PORT = String(address.port)

  let connections = 0
  const running = new Promise<void>((resolve) => {
    server.on('connection', (socket) => {
      socket.on('error', () => {}).resume()
      connections += 1
      if (connections === 2) resolve()
    })
  })
  // A server that was told to close does so when its last connection has.
  const ended = running.then(() => new Promise<void>((resolve) => server.close(() => resolve())))
  return { running, ended }
}

test.run()
