// limit: 240
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { evidenceOf, thisMachine } from '../../src/disk/process.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { authorizeIn, createFor, perform } from '../../src/nouns/runs/performing.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { codeOf, governedIn, of } from '../support/governed-runs.ts'

const test = suite('the processes of runs')
const governed = governedIn(test)
const reason = 'the process was killed'
const run_id = 'run_work1'
const action = {
  action_type: 'tool_call' as const,
  lane_id: of.lane_id,
  scope: { case_id: of.case_id, client_session_id: 's-1', run_id },
  target: { name: 'dictation.start' },
}

async function withProcess(work: (child: ChildProcess, pid: number) => Promise<void>): Promise<void> {
  const child = spawn('sleep', ['100'])
  await once(child, 'spawn')
  try {
    await work(child, child.pid ?? 0)
  } finally {
    child.kill('SIGKILL')
  }
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** A running tool run without a lease, with the processes that do its work. */
async function started({ runs }: LocalLedger, facts: { lease_duration_s?: number; pids?: number[] }): Promise<void> {
  await runs.create({ ...of, run_id, parent_run_id: 'run_top_1', run_kind: 'tool_gateway' })
  await runs.start({ run_id, ...facts })
}

governed('a run records its processes as a lock does, and a pid that is not there is refused', (ledger) =>
  withProcess(async (_, pid) => {
    await started(ledger, { pids: [process.pid, pid] })
    const { data } = await lastOf(ledger, 'run.started')
    equal(data.processes, JSON.parse(JSON.stringify([evidenceOf(process.pid), evidenceOf(pid)])))
    equal((await ledger.runs.why({ run_id })).processes, {
      alive: 'yes',
      host: thisMachine().host,
      pids: [process.pid, pid],
    })
    await ledger.runs.create({ ...of, run_id: 'run_work2', run_kind: 'tool_gateway' })
    is(await codeOf(ledger.runs.start({ run_id: 'run_work2', pids: [2 ** 31 - 1] })), 'PID_NOT_FOUND')
    is((await ledger.runs.get({ run_id: 'run_work2' })).status, 'created')
  }),
)

governed('a dead run without a lease is shown as an orphan, and recovered with its evidence by anyone', (ledger) =>
  withProcess(async (child, pid) => {
    const { runs } = ledger
    await started(ledger, { pids: [pid] })
    await runs.authorize({ run_id, action })
    const evidence = JSON.parse(JSON.stringify([evidenceOf(pid)]))
    equal((await runs.list({ orphans: true })).runs, [])
    await killed(child)
    const { process_dead, runs: orphans } = await runs.list({ orphans: true })
    equal([process_dead, orphans.map((run) => run.run_id)], [[run_id], [run_id]])
    is((await runs.why({ run_id })).processes?.alive, 'no')
    const stranger = { actor_id: 'agent-9', actor_type: 'agent' } as const
    const types = await typesAppended(ledger, () => runs.recover({ run_id, reason: 'killed', actor: stranger }))
    equal(types, ['run.acted', 'run.failed'])
    const { data, actor } = await lastOf(ledger, 'run.failed')
    equal(data.recovery, { processes: evidence, reason: 'killed', recovery_reason: 'pid_dead' })
    is(actor.actor_id, 'agent-9')
    const { error, status } = await runs.get({ run_id })
    equal([status, error?.error_code, error?.retryable], ['failed', 'RUN_ORPHANED', true])
    is((await runs.retry({ run_id, retry_reason: 'again' })).status, 'created')
    is(await codeOf(runs.recover({ run_id, reason: 'killed' })), 'RUN_NOT_ACTIVE')
  }),
)

governed('a run whose process is alive or not known is not recovered', (ledger) =>
  withProcess(async (child, pid) => {
    const { runs } = ledger
    await started(ledger, { pids: [process.pid, pid] })
    await killed(child)
    // One of its two processes lives.
    is(await codeOf(runs.recover({ run_id, reason: 'killed' })), 'RUN_NOT_ORPHAN')
    is(await codeOf(runs.recover({ run_id: 'run_top_1', reason })), 'RUN_NOT_ORPHAN')
    equal((await runs.list({ orphans: true })).runs, [])
    is((await runs.why({ run_id: 'run_top_1' })).processes, null)
    is((await runs.get({ run_id })).status, 'running')
  }),
)

governed('a lease decides alone: a dead run is failed when its lease is over, and not before', (ledger, clock) =>
  withProcess(async (child, pid) => {
    const { runs } = ledger
    await started(ledger, { lease_duration_s: 60, pids: [pid] })
    await killed(child)
    is(await codeOf(runs.recover({ run_id, reason: 'killed' })), 'RUN_NOT_ORPHAN')
    equal((await runs.list({ orphans: true })).runs, [])
    clock.advance(61_000)
    equal((await runs.list({ orphans: true })).lease_expired, [run_id])
    is((await runs.recover({ run_id, reason: 'killed' })).error?.error_code, 'RUN_LEASE_EXPIRED')
  }),
)

governed('perform records this process, and ends its run if a run above ended while it worked', async (ledger) => {
  const { runs } = ledger
  const request = { action, ...of, parent_run_id: 'run_top_1', run_id }
  const { lane_id: _, ...asked } = request
  const work = async () => {
    equal((await lastOf(ledger, 'run.started')).data.processes, JSON.parse(JSON.stringify([evidenceOf(process.pid)])))
    await runs.cancel({ run_id: 'run_top_1', outcome_reason: 'over' })
  }
  is(await codeOf(perform(ledger, asked, work)), 'RUN_ANCESTOR_ENDED')
  const { error, status } = await runs.get({ run_id })
  equal([status, error?.error_code], ['failed', 'RUN_ANCESTOR_ENDED'])
  is((await lastOf(ledger, 'run.acted')).data.outcome, 'success')
})

governed('a case that the action does not name is that of the run, which can inherit it', async (ledger) => {
  const { runs } = ledger
  await runs.create({ case_id: 'CASE-17', correlation_id: 'request-1', run_id: 'run_case1', run_kind: 'orchestrator' })
  await runs.start({ run_id: 'run_case1' })
  const scope = { client_session_id: 's-1' }
  const asked = { action: { ...action, scope }, parent_run_id: 'run_case1', role_id: of.role_id, run_id }
  const { run } = await perform(ledger, asked, () => {})
  equal([run.case_id, run.correlation_id, run.status], ['CASE-17', 'request-1', 'completed'])
  ok((await lastOf(ledger, 'run.decided')).data.scope)
  match(JSON.stringify((await lastOf(ledger, 'run.decided')).data.scope), /"case_id","value":"CASE-17"/)
})

governed('a run of an action that was only created is begun by a repeat, and by no other request', async (ledger) => {
  const { lane_id: _, ...facts } = of
  const asked = { ...facts, action, parent_run_id: 'run_top_1', run_id }
  const inputs = (hash: string) => ({ artifact_refs: [], parameters_hash_sha256: hash.repeat(32) })
  const create = (hash: string) => createFor(ledger, asked, { idempotency_key: 'key-1', inputs: inputs(hash) })
  is((await create('ab')).status, 'created')
  const run = await create('ab')
  is(run.status, 'created')
  is((await authorizeIn(ledger, run, asked)).decision.decision, 'allow')
  is((await create('ab')).status, 'running')
  is(await codeOf(create('cd')), 'IDEMPOTENCY_MISMATCH')
})

test.run()
