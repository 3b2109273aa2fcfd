import { join } from 'node:path'
import { check, pick, root, run, runAround, title } from './steps.ts'

const orchestrator = 'run_case17'
const agent = 'run_coding1'
const as = ['--actor', 'agent-3']
const lane = ['--lane', 'shell', '--role', 'agent']

/** The tour's steps about governed runs. */
export function governedRuns(): void {
  startTree()
  callTools()
  retryFailed()
  exportTree()
}

function startTree(): void {
  title('8. Governed runs: an orchestrator with an agent below it')
  run(['run', 'create', '--kind', 'orchestrator', '--run-id', orchestrator, '--case', 'CASE-17'], {
    show: pick('run_id', 'status'),
  })
  const { policy_versions } = run(['run', 'start', orchestrator], { show: pick('status', 'policy_versions') })
  const below = ['--parent', orchestrator, '--for', 'agent-3', ...lane]
  run(['run', 'create', '--kind', 'agent', '--run-id', agent, ...below], {
    show: pick('run_id', 'parent_run_id', 'case_id', 'status'),
  })
  const started = run([...as, 'run', 'start', agent], { isKey: true, show: pick('run_id', 'status') })
  check(
    JSON.stringify(started.policy_versions) === JSON.stringify(policy_versions),
    'the agent’s run has the same policy pins as the orchestrator’s run',
  )
}

function callTools(): void {
  title('9. One run for each tool call: a call that the lane does not allow never starts')
  const said = runAround(execWords('run_tool_01', 'test.unit'), '"tested"')
  check(said.startsWith('tested'), 'the allowed command ran')
  const denied = runAround(execWords('run_tool_02', 'deploy.now'), '"deployed"', 4)
  check(denied.includes('lane:shell/tools') && !denied.includes('deployed'), 'a rule denied the other command')
}

function retryFailed(): void {
  title('10. A failed call stays on record, and its retry is a new run')
  runAround(execWords('run_tool_03', 'test.unit'), 'process.exit(9)', 9)
  const words = ['--new-run-id', 'run_tool_04', '--reason', 'the test server answers again']
  run([...as, 'run', 'retry', 'run_tool_03', ...words], {
    isKey: true,
    show: pick('run_id', 'parent_run_id', 'metadata'),
  })
  run([...as, 'run', 'start', 'run_tool_04'], { show: pick('run_id', 'status') })
  run([...as, 'run', 'complete', 'run_tool_04', '--reason', 'tested'], {
    show: pick('run_id', 'status', 'outcome'),
  })
  const tree = treeLines(run(['run', 'tree', orchestrator], { show: (found) => treeLines(found).join('\n') }))
  check(
    ['01 completed', '02 denied', '03 failed', '04 completed'].every((end) => tree.some((line) => line.endsWith(end))),
    'each run has the expected final state',
  )
}

function exportTree(): void {
  title('11. The tree of runs as a bundle, which anyone can verify without the ledger')
  const file = join(root, 'case-17.tar.gz')
  const { vkey } = run(['head', '--signed'], { show: pick('vkey') })
  const governed = ['--lane', 'release', '--role', 'operator', '--reason', 'asked for']
  const scope = ['--scope', 'case_id=CASE-17']
  run(['--actor', 'human:ana', 'export', 'create', '--run', orchestrator, '--out', file, ...governed, ...scope], {
    show: pick('file', 'run_id'),
  })
  const verified = run(['export', 'verify', file, '--key', String(vkey)], {
    isKey: true,
    show: pick('entries', 'size', 'root', 'authenticity'),
  })
  check(verified.authenticity === 'checked', 'the ledger’s key signed the bundle')
}

function execWords(runId: string, tool: string): string[] {
  return [...as, 'run', 'exec', '--parent', agent, '--run-id', runId, ...lane, '--tool', tool]
}

type Tree = { children?: Tree[]; run?: { run_id: string; run_kind: string; status: string } }

function treeLines({ children = [], run: top }: Tree, indent = ''): string[] {
  const below = children.flatMap((child) => treeLines(child, `${indent}  `))
  return [`${indent}${top?.run_kind} ${top?.run_id} ${top?.status}`, ...below]
}
