import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import colors from 'picocolors'
import { lockFileName } from '../core/lock/lock-file.ts'
import { runLockFileName } from '../core/lock/run-lock-file.ts'
import { say, writeOut } from './output.ts'

/**
 * `npm run quickstart`: the main job on real files, by the real command, in a folder of its own that is removed at
 * the end. Every step checks what it shows and ends the tour with exit 1 where it is not so.
 */

const lockstep = fileURLToPath(new URL(`./main${import.meta.url.slice(-3)}`, import.meta.url))
const root = realpathSync(mkdtempSync(join(tmpdir(), 'lockstep quickstart ')))
const folder = 'packages/DEL-08-05_Deliverable-Lock'
const target = 'IAMBECCA | ACME | SITE | web-shop | NEO'
const runId = 'run_ACME_web-shop_2026-02-02_001'

function title(text: string): void {
  writeOut(`\n${colors.bold(text)}\n`)
}

interface Run {
  expect?: number
  show?: (document: Record<string, unknown>) => unknown
}

/** Runs a command as a user would, checks its exit code, and prints what it says. */
function run(words: string[], { expect = 0, show }: Run = {}): Record<string, unknown> {
  const shown = words.map((word) => (/[\s|]/.test(word) ? `"${word}"` : word)).join(' ')
  writeOut(`${colors.dim('$')} lockstep ${shown}\n`)
  const json = spawnSync(process.execPath, [...process.execArgv, lockstep, '--dir', root, ...words, '--json'], {
    encoding: 'utf8',
  })
  const document = JSON.parse(json.stdout || '{}') as Record<string, unknown>
  if (json.status !== expect) fail(`exit ${json.status}, expected ${expect}: ${json.stdout}${json.stderr}`)
  const chosen = show?.(document) ?? document
  writeOut(`${indent(typeof chosen === 'string' ? chosen : JSON.stringify(chosen, null, 2))}\n`)
  if (expect !== 0) writeOut(colors.dim(`  exit code ${json.status}\n`))
  return document
}

function check(condition: boolean, what: string): void {
  if (!condition) fail(what)
}

function fail(what: string): never {
  say(`${colors.red('quickstart failed')}: ${what}`)
  rmSync(root, { recursive: true, force: true })
  process.exit(1)
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '  ')
}

function pick(...keys: string[]): (document: Record<string, unknown>) => unknown {
  return (document) => Object.fromEntries(keys.map((key) => [key, document[key]]))
}

/** A stand-in for an agent: a process that lives until it is killed. */
function startAgent() {
  const agent = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  const kill = async () => {
    const exited = once(agent, 'exit')
    agent.kill('SIGKILL')
    await exited
  }
  return { pid: String(agent.pid), kill }
}

title('1. A root with a deliverable folder and a project')
mkdirSync(join(root, folder), { recursive: true })
writeFileSync(join(root, folder, '_STATUS.md'), 'state: IN_PROGRESS\n')
run(['init'], { show: pick('dir', 'origin', 'size') })

title('2. An agent takes the deliverable')
const first = startAgent()
const stale = run(
  ['lock', 'acquire', '--folder', join(root, folder), '--holder', 'agent-1', '--pid', first.pid, '--lease', '15m'],
  {
    show: pick('name', 'holder', 'token', 'lease_duration_s'),
  },
)
writeOut(
  `  ${folder}/${lockFileName} says who holds it:\n${indent(
    indent(
      readFileSync(join(root, folder, lockFileName), 'utf8')
        .split('\n')
        .slice(0, 7)
        .join('\n'),
    ),
  )}\n`,
)

title('3. A second agent is refused, with a report')
const second = startAgent()
const request = ['lock', 'acquire', '--folder', join(root, folder), '--holder', 'agent-2', '--pid', second.pid]
const report = run(request, { expect: 75 })
check(
  report.code === 'LOCK_CONTENTION' && report.holder === 'agent-1' && report.holder_alive === 'yes',
  'the report names the live holder',
)

title('4. The first agent is killed; its lock is an orphan, and the second agent recovers it')
await first.kill()
const fresh = run(request, { show: pick('name', 'holder', 'token') })
check(Number(fresh.token) > Number(stale.token), 'tokens strictly increase')
run(['lock', 'history', 'deliverable:DEL-08-05'], {
  show: ({ entries }) =>
    (entries as { seq: number; type: string }[]).map(({ seq, type }) => `${seq} ${type}`).join('\n'),
})

title('5. The dead agent’s token opens nothing any more; the new one does')
run(
  [
    'audit',
    'append',
    '--outcome',
    'success',
    '--reason',
    'wrote chapter 2',
    '--guard',
    `deliverable:DEL-08-05@${stale.token}`,
  ],
  { expect: 5 },
)
run([
  'audit',
  'append',
  '--outcome',
  'success',
  '--reason',
  'wrote chapter 2',
  '--guard',
  `deliverable:DEL-08-05@${fresh.token}`,
])
run(['lock', 'release', String(fresh.lock_id)], { show: pick('name', 'held_ms', 'files') })
await second.kill()

title('6. A project lock, with its RUN_LOCK.json')
run(['lock', 'acquire', '--target', target, '--run-id', runId], { show: pick('name', 'run_id', 'token', 'files') })
const runLock = join(root, 'runtime/runs', runId, runLockFileName)
writeOut(`${indent(readFileSync(runLock, 'utf8'))}\n`)
run(['lock', 'check', '--run-id', runId, '--target', target], { show: pick('run_id', 'token') })
run(['--actor', 'BECCA', 'lock', 'release', '--run-id', runId, '--final-status', 'COMPLETE'], {
  show: pick('name', 'outcome', 'files'),
})
check(readFileSync(runLock, 'utf8').includes('"final_status": "COMPLETE"'), 'RUN_LOCK.json says RELEASED, COMPLETE')

title('7. A lock around any command')
const hello = spawnSync(
  process.execPath,
  [
    ...process.execArgv,
    lockstep,
    '--dir',
    root,
    'lock',
    'run',
    'reports',
    '--',
    process.execPath,
    '-p',
    '"token " + process.env.LOCKSTEP_TOKEN',
  ],
  { encoding: 'utf8' },
)
writeOut(
  `${colors.dim('$')} lockstep lock run reports -- node -p '"token " + process.env.LOCKSTEP_TOKEN'\n${indent(hello.stdout)}\n`,
)
check(hello.status === 0 && /^token \d+$/m.test(hello.stdout), `lock run: exit ${hello.status} ${hello.stderr}`)

title('8. All of it is one log, and it can be proven')
run(['audit', 'list', '--entries'], {
  show: ({ entries }) =>
    (entries as { seq: number; type: string; stream: string }[])
      .map(({ seq, stream, type }) => `${String(seq).padStart(2)} ${type.padEnd(16)} ${stream}`)
      .join('\n'),
})
run(['prove', String(fresh.token)], { show: pick('seq', 'size', 'leaf_hash', 'root') })
run(['head', '--signed'], { show: ({ checkpoint }) => String(checkpoint) })
const verified = run(['verify'])
check(verified.verified === true, 'the ledger verifies')

title('Where to look next')
writeOut(`  lockstep help                   every command, with examples
  docs/life-of-a-command.md       where an acquire goes, from the command line to the disk
  docs/agent-integration.md       what to tell your agents
  docs/runbook.md                 when something is stuck
`)
rmSync(root, { recursive: true, force: true })
