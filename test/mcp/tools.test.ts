import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { connectClient, type McpClient, withMcp } from '../support/mcp.ts'
import { until } from '../support/service.ts'

const test = suite('tools of agents')
const withClient = (work: (client: McpClient, ledger: LocalLedger) => Promise<void>) => () =>
  withMcp(async ({ ledger, placeOf }) => {
    const client = await connectClient('client 2 of 2026', placeOf('HTTP'))
    await work(client, ledger).finally(() => client.close())
  })

test(
  'a run of an agent is decided, recorded and finished',
  withClient(async (client) => {
    const asked = { run_kind: 'tool_gateway', lane_id: 'edit', role_id: 'agent' }
    const { run_id } = await client.done('run_start', { ...asked, run_name: 'a fix' })
    const action = {
      action_type: 'tool_call',
      lane_id: 'edit',
      scope: { run_id, audit: true },
      target: { name: 'Edit' },
    }
    const { decision_id, ...decided } = await client.done('action_authorize', { run_id, action })
    equal([decided.decision, decided.missing, decided.reason], ['allow', [], null])
    is((await client.failed('run_finish', { run_id, result: 'completed', reason: 'done' })).code, 'RUN_HAS_OPEN_ACTION')
    equal(await client.done('action_record', { run_id, decision_id, outcome: 'success' }), {
      run_id,
      status: 'running',
    })
    const finished = await client.done('run_finish', { run_id, result: 'completed', reason: 'done' })
    equal(
      [finished.status, finished.untrusted],
      ['completed', { actor: 'agent-7', outcome: 'done', run_name: 'a fix' }],
    )
    const other = await client.done('run_start', asked)
    const failed = { run_id: other.run_id, result: 'failed', reason: 'the tests fail', retryable: true }
    is((await client.done('run_finish', failed)).status, 'failed')
  }),
)

test(
  'a start with the same key is the same run, and with other content it is refused',
  withClient(async (client) => {
    const asked = { lane_id: 'edit', role_id: 'agent', idempotency_key: 'task-1' }
    const [one, two] = [await client.done('run_start', asked), await client.done('run_start', asked)]
    equal(one, two)
    is((await client.failed('run_start', { ...asked, run_name: 'other' })).code, 'IDEMPOTENCY_MISMATCH')
  }),
)

test(
  'several names are had all or none, and a repeated call finds the same grants',
  withClient(async (client, ledger) => {
    const held = await ledger.locks.acquire({ holder: 'h', name: 'b' })
    const asked = { names: ['a', 'b', 'c'], lock_id: 'lck_0123456789abcdef' }
    is((await client.done('lock_acquire', asked)).outcome, 'contended')
    is((await ledger.locks.list()).locks.length, 1)
    const waited = client.done('lock_acquire', { ...asked, wait_s: 45 })
    await ledger.locks.release({ lock_id: held.lock_id })
    const { grants, outcome } = await waited
    is(outcome, 'granted')
    equal((await client.done('lock_acquire', asked)).grants, grants)
    const lock_ids = (grants as { lock_id: string }[]).map(({ lock_id }) => lock_id)
    await client.done('lock_release', { lock_ids })
    is((await client.failed('lock_acquire', asked)).code, 'LOCK_ENDED')
  }),
)

test(
  'arguments that do not go together are refused',
  withClient(async (client) => {
    const { run_id } = await client.done('run_start', { run_kind: 'orchestrator' })
    for (const [name, args] of [
      ['lock_acquire', {}],
      ['lock_acquire', { names: ['a'], paths: ['a'] }],
      ['lock_acquire', { names: ['a'], shared: true }],
      ['lock_status', { names: ['a'], folder: 'a' }],
      ['run_finish', { run_id, result: 'completed', reason: 'done', retryable: true }],
      ['run_finish', { run_id, result: 'failed', reason: 'no', release_lock: true }],
    ] as const) {
      is((await client.failed(name, args)).code, 'INVALID_INPUT', JSON.stringify(args))
    }
  }),
)

test(
  'a list of locks says when it is cut',
  withClient(async (client, ledger) => {
    const names = Array.from({ length: 51 }, (_, at) => `lock ${at}`)
    const { grants } = await ledger.locks.acquireAll({ holder: 'h', names })
    const shown = await client.done<{ locks: object[]; truncated: boolean }>('lock_status')
    equal([shown.locks.length, shown.truncated], [50, true])
    await ledger.locks.release({ lock_id: grants[0]?.lock_id ?? '' })
    const rest = await client.done<{ locks: object[]; truncated: boolean }>('lock_status')
    equal([rest.locks.length, rest.truncated], [50, false])
  }),
)

test(
  'a state that cannot be read is an error, never free',
  withClient(async (client) => {
    await client.done('lock_acquire', { paths: ['src/'] })
    const names = ['nobody has it', 'path:docs/a.md', 'path:src/a.ts']
    const { locks } = await client.done<{ locks: Record<string, unknown>[] }>('lock_status', { names })
    equal(
      locks.map(({ held_name, name, state }) => [name, state, held_name]),
      [
        ['resource:nobody has it', 'free', undefined],
        ['path:docs/a.md', 'free', undefined],
        ['path:src/a.ts', 'held', 'path:src/'],
      ],
    )
    is((await client.failed('lock_status', { folder: 'no/such/folder' })).code, 'LOCK_PLACEMENT')
    for (const [name, code] of [
      ['deliverable:DEL-01-01', 'NOT_FOUND'],
      ['project:A/B/C', 'NOT_FOUND'],
      ['project:no target', 'INVALID_INPUT'],
    ]) {
      is((await client.failed('lock_status', { names: ['reports', name] })).code, code)
    }
  }),
)

test(
  'a lock is granted in a place that is kept, also while no call waits',
  withClient(async (client, ledger) => {
    const held = await ledger.locks.acquire({ holder: 'h', name: 'reports' })
    is((await client.done('lock_acquire', { names: ['reports'], wait_s: 1 })).outcome, 'queued')
    await ledger.locks.release({ lock_id: held.lock_id })
    const holder = async () => (await ledger.locks.status({ name: 'reports' })).holder
    await until('it is granted in the place', async () => (await holder()) === 'agent-7')
  }),
)

test('turns are applied where the configuration offers it, and not elsewhere', async () => {
  await withMcp(async ({ ledger, placeOf }) => {
    const client = await connectClient('client 2 of 2026', placeOf('HTTP'))
    const { run_id } = await client.done('run_start', { run_kind: 'orchestrator' })
    const triplets = [{ stem: 'plan', body: { step: 1 } }]
    const applied = await client.done('turn_apply', { run_id, turn_id: 'turn-0001', triplets })
    equal(applied, { turn_id: 'turn-0001', outcome: 'PASS', promoted_stems: ['plan'], deleted_stems: [] })
    is((await client.failed('turn_apply', { run_id, turn_id: 'turn-0003', triplets })).code, 'E_PROMOTION_OUT_OF_ORDER')
    equal((await ledger.workspaces.stem({ run_id: String(run_id), stem: 'plan' })).body, { step: 1 })
    await client.close()
  })
})

test.run()
