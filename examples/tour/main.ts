import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { governedRuns } from './runs.ts'
import { assertShort, check, detail, indent, pick, print, root, run, runAround, title } from './steps.ts'
import { turnsOfAgents } from './turns.ts'

/**
 * `npm run quickstart`: a tour of the main features with the real command and real files, in a temporary folder that is
 * left to play with. Every step checks its results; a failed check ends the tour with exit code 1.
 *
 *   npm run quickstart [-- --verbose]
 */

const folder = 'packages/DEL-08-05_Deliverable-Lock'
const target = 'IAMBECCA | ACME | SITE | web-shop | NEO'
const runId = 'run_ACME_web-shop_2026-02-02_001'

/** Starts a stand-in for an agent: a process that runs until it is killed. */
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
run(['init', '--no-operator-token'], { isKey: true, show: pick('dir', 'origin', 'size') })

title('2. An agent locks the deliverable')
const first = startAgent()
const stale = run(
  ['lock', 'acquire', '--folder', join(root, folder), '--holder', 'agent-1', '--pid', first.pid, '--lease', '15m'],
  {
    isKey: true,
    show: pick('name', 'holder', 'token', 'lease_duration_s'),
  },
)
detail(`  ${folder}/.lock names the holder:`)
const lockFile = readFileSync(join(root, folder, '.lock'), 'utf8')
detail(indent(indent(lockFile.split('\n').slice(0, 7).join('\n'))))
check(lockFile.includes('"holder": "agent-1"'), 'the .lock file in the folder names the holder')

title('3. A second agent is refused, with a report')
const second = startAgent()
const request = ['lock', 'acquire', '--folder', join(root, folder), '--holder', 'agent-2', '--pid', second.pid]
const report = run(request, { expect: 75, isKey: true })
check(
  report.code === 'LOCK_CONTENTION' && report.holder === 'agent-1' && report.holder_alive === 'yes',
  'the report names the live holder',
)

title('4. The first agent is killed, so its lock becomes an orphan, which the second agent recovers')
await first.kill()
const fresh = run(request, { isKey: true, show: pick('name', 'holder', 'token') })
check(Number(fresh.token) > Number(stale.token), 'the new token is greater than the old token')
run(['lock', 'history', 'deliverable:DEL-08-05'], {
  show: ({ entries }) =>
    (entries as { seq: number; type: string }[]).map(({ seq, type }) => `${seq} ${type}`).join('\n'),
})

title('5. The dead agent’s token is refused, and the new token is accepted')
const appendWith = ({ token }: Record<string, unknown>) => {
  const guard = `deliverable:DEL-08-05@${token}`
  return ['audit', 'append', '--outcome', 'success', '--reason', 'wrote chapter 2', '--guard', guard]
}
const refused = run(appendWith(stale), { expect: 5, isKey: true })
check(refused.code === 'STALE_TOKEN', 'the stale token is refused')
run(appendWith(fresh))
run(['lock', 'release', String(fresh.lock_id)], { show: pick('name', 'held_ms', 'files') })
await second.kill()

title('6. A project lock and its RUN_LOCK.json')
run(['lock', 'acquire', '--target', target, '--run-id', runId], {
  isKey: true,
  show: pick('name', 'run_id', 'token', 'files'),
})
const runLock = join(root, 'runtime/runs', runId, 'RUN_LOCK.json')
detail(indent(readFileSync(runLock, 'utf8')))
run(['lock', 'check', '--run-id', runId, '--target', target], { show: pick('run_id', 'token') })
run(['--actor', 'BECCA', 'lock', 'release', '--run-id', runId, '--final-status', 'COMPLETE'], {
  show: pick('name', 'outcome', 'files'),
})
check(
  readFileSync(runLock, 'utf8').includes('"final_status": "COMPLETE"'),
  'RUN_LOCK.json has the final status COMPLETE',
)

title('7. A lock held while a command runs')
const hello = runAround(['lock', 'run', 'reports'], '"token " + process.env.LOCKSTEP_TOKEN')
check(/^token \d+$/m.test(hello), 'the command receives its token')

governedRuns()
const secondTurn = turnsOfAgents()

title('16. All entries are in one log, and each entry can be proven')
run(['audit', 'list', '--entries'], {
  show: ({ entries }) =>
    (entries as { seq: number; type: string; stream: string }[])
      .map(({ seq, stream, type }) => `${String(seq).padStart(2)} ${type.padEnd(21)} ${stream}`)
      .join('\n'),
})
const proof = run(['prove', String(secondTurn)], { isKey: true, show: pick('seq', 'size', 'leaf_hash', 'root') })
const { data, type } = proof.entry as { data: { turn_id?: string }; type: string }
check(type === 'turn.promoted' && data.turn_id === 'turn-0002', 'the proof belongs to the promotion of turn 2')
run(['head', '--signed'], { show: ({ checkpoint }) => String(checkpoint) })
const verified = run(['verify'], { isKey: true })
check(verified.verified === true, 'the ledger verifies')

title('Where to look next')
print(`  The folder of the tour stays; remove it when you have seen enough:
    cd "${root}"
  lockstep lock list                       what is held now
  lockstep help                            all commands, with examples
  npm run quickstart -- --verbose          the tour with the output of every command
  docs/tutorial/first-lock.md              your first lock, in your own repository`)
assertShort()
