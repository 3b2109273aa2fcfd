// limit: 240
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { entriesOf } from '../support/entries.ts'
import { codeOf, governedIn, of, startTool } from '../support/governed-runs.ts'

const test = suite('a tree of runs that ends')
const governed = governedIn(test)
const done = { outcome_reason: 'over' }
const root = 'run_top_1'

/** The tree of `run cancel --tree` has this many runs below its root. */
const runsBelow = 2_000

async function agentWithTurn({ runs, turns }: LocalLedger): Promise<{ run_id: string; turn_id: string }> {
  const turn = { run_id: 'run_agent', turn_id: 'turn-0001' }
  await runs.create({ run_id: turn.run_id, parent_run_id: root, run_kind: 'orchestrator' })
  await runs.start({ run_id: turn.run_id })
  await turns.stage({ ...turn, triplets: [{ stem: 'one', body: {} }] })
  await turns.validate(turn)
  return turn
}

governed('no stage, no validation and no promotion below an ended root', async (ledger) => {
  const { runs, turns } = ledger
  const turn = await agentWithTurn(ledger)
  await runs.cancel({ run_id: root, ...done })
  for (const call of [
    () => turns.promote(turn),
    () => turns.stage({ ...turn, triplets: [{ stem: 'two', body: {} }] }),
    () => turns.validate(turn),
    () => turns.apply({ ...turn, triplets: [{ stem: 'two', body: {} }] }),
  ]) {
    is(await codeOf(call()), 'RUN_ANCESTOR_ENDED')
  }
  const { last_promoted_turn_id } = await runs.get({ run_id: turn.run_id })
  is(last_promoted_turn_id, 'turn-0000')
  const rejected = (await entriesOf(ledger)).filter(({ type }) => type === 'turn.promotion_rejected')
  equal(
    rejected.map(({ data }) => [data.code, (data.facts as { ancestor_run_id: string }).ancestor_run_id]),
    [['RUN_ANCESTOR_ENDED', root]],
  )
  // A rejection adds no work, so the turn can still be given up.
  is((await turns.reject({ ...turn, reason: 'over' })).status, 'rejected')
})

governed('an override is no late fact, so none is recorded below an ended root; a note is', async (ledger) => {
  const run_id = await startTool(ledger)
  await ledger.runs.deny({ run_id: root, ...done })
  const { append } = ledger.audit
  const override = { action_type: 'override' as const, outcome: 'success' as const, outcome_reason: 'urgent', run_id }
  is(await codeOf(append({ events: [override] })), 'RUN_ANCESTOR_ENDED')
  is(await codeOf(append({ events: [{ action_type: 'system', outcome: 'failure', run_id }] })), 'none')
})

governed('why a run can do nothing more names the run above that ended', async (ledger) => {
  const run_id = await startTool(ledger)
  is((await ledger.runs.why({ run_id })).ended_ancestor, null)
  await ledger.runs.deny({ run_id: root, ...done })
  const { ended_ancestor, moves } = await ledger.runs.why({ run_id })
  equal(ended_ancestor, { run_id: root, status: 'denied' })
  equal(moves, ['failed', 'denied', 'cancelled'])
  const scope = { case_id: of.case_id, client_session_id: 's-1', run_id }
  const target = { name: 'dictation.start' }
  const action = { action_type: 'tool_call' as const, lane_id: of.lane_id, scope, target }
  const { decision, rule_ids } = await ledger.policy.explain({ run_id, action })
  equal([decision, rule_ids], ['deny', [`run/ended_ancestor/${root}`]])
})

governed('cancelling a tree ends everything running or created below its root, and can be repeated', async (ledger) => {
  const { runs } = ledger
  const tool = await startTool(ledger)
  await runs.create({ run_id: 'run_new_1', parent_run_id: root, run_kind: 'agent' })
  await runs.create({ run_id: 'run_done1', parent_run_id: root, run_kind: 'orchestrator' })
  await runs.start({ run_id: 'run_done1' })
  await runs.complete({ run_id: 'run_done1', ...done })
  await runs.create({ run_id: 'run_other', run_kind: 'orchestrator' })
  const action = {
    action_type: 'tool_call' as const,
    lane_id: of.lane_id,
    scope: { case_id: of.case_id, client_session_id: 's-1', run_id: tool },
    target: { name: 'dictation.start' },
  }
  await runs.authorize({ run_id: tool, action })
  const { cancelled_below, run } = await runs.cancelTree({ run_id: root, ...done })
  equal([run.status, run.outcome, cancelled_below], ['cancelled', 'cancelled: over', 2])
  const statusOf = async (run_id: string) => (await runs.get({ run_id })).status
  equal(await Promise.all([tool, 'run_new_1', 'run_done1', 'run_other'].map(statusOf)), [
    'cancelled',
    'cancelled',
    'completed',
    'created',
  ])
  is((await runs.get({ run_id: tool })).outcome, `cancelled: with ${root}`)
  const { size } = await ledger.head.get()
  is((await runs.cancelTree({ run_id: root, ...done })).cancelled_below, 0)
  is((await ledger.head.get()).size, size)
})

governed(
  'a tree can be cancelled below a root that ended in another way, and only by whom the root obeys',
  async (ledger) => {
    const { runs } = ledger
    const tool = await startTool(ledger)
    await runs.deny({ run_id: root, ...done })
    const stranger = { actor_id: 'agent-9', actor_type: 'agent' } as const
    is(await codeOf(runs.cancelTree({ run_id: root, actor: stranger, ...done })), 'NOT_RUN_ACTOR')
    is(await codeOf(runs.cancel({ run_id: root, ...done })), 'INVALID_STATE_TRANSITION')
    const { cancelled_below, run } = await runs.cancelTree({ run_id: root, ...done })
    equal([run.status, cancelled_below], ['denied', 1])
    match((await runs.get({ run_id: tool })).outcome ?? '', /^cancelled: with run_top_1$/)
  },
)

governed('a tree of 2,000 runs is cancelled in one command, by appends of a bounded size', async (ledger) => {
  const { runs } = ledger
  const ids = Array.from({ length: runsBelow }, (_, at) => `run_below_${String(at).padStart(4, '0')}`)
  await Promise.all(ids.map((run_id) => runs.create({ run_id, parent_run_id: root, run_kind: 'orchestrator' })))
  const { size } = await ledger.head.get()
  is((await runs.cancelTree({ run_id: root, ...done })).cancelled_below, runsBelow)
  is((await ledger.head.get()).size, size + runsBelow + 1)
  is((await runs.list({ status: 'created', limit: 1 })).runs.length, 0)
})

test.run()
