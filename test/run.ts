/**
 * The entry of `npm test`: runs `test/**\/*.test.ts`, or those whose path contains one of the patterns, and
 * ends with the line `N passed, N failed`.
 *
 *   node --import tsx test/run.ts [--jobs N] [--limit SECONDS] [--dir FOLDER] [pattern…]
 */
import { availableParallelism, constants } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { compileTree } from './compile.ts'
import { choose, compiledTree, type FileResult, findTests, root, runFiles } from './runner.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string', default: join(root, 'test') },
    // Tests that wait for processes or for time leave a processor free for two more.
    jobs: { type: 'string', default: String(availableParallelism() + 2) },
    limit: { type: 'string', default: '120' },
  },
})
const jobs = positive('--jobs', values.jobs)
const limitMs = positive('--limit', values.limit) * 1000

// The children lead process groups of their own, so a Ctrl-C in the terminal does not reach them by itself.
const stop = new AbortController()
process.once('exit', () => stop.abort())
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => process.exit(128 + constants.signals[name]))
}

const files = findTests(resolve(values.dir))
const { chosen, unmatched } = choose(files, positionals)
let passed = 0
let failed = 0
for (const pattern of unmatched) fail(`no test file's path contains '${pattern}'`)
if (files.length === 0) fail(`no test file in ${values.dir}`)
await runFiles(chosen, { jobs, limitMs, signal: stop.signal, tree: compiledTree ?? compileTree(), report })
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

function report(result: FileResult): void {
  passed += result.passed
  failed += result.failed
  const counts = `${result.passed + result.failed} tests, ${Math.round(result.durationMs)} ms`
  if (result.problem === undefined) {
    console.log(`ok    ${result.file}  ${counts}`)
  } else {
    console.log(`FAIL  ${result.file}  ${counts}: ${result.problem}\n${result.output.trimEnd()}`)
  }
}

function fail(reason: string): void {
  failed += 1
  console.log(`FAIL  ${reason}`)
}

function positive(option: string, text: string): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`${option} needs a whole number above 0, not '${text}'`)
  process.exit(2)
}
