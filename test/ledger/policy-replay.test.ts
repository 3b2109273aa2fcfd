import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import type { Policy } from '../../src/domain/policy/policy.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { Replay, type ReplayedDifference } from '../../src/nouns/policy/replay.ts'
import { lane, type PolicyTexts, role, underPolicy } from '../support/gated.ts'
import { policyOfTexts } from '../support/policy-tables.ts'

const replaying = suite('recorded decisions under another policy')

const of = { open: ['worker'], requires: ['run_id'], tools: ['read', 'write', 'npm.test'] }
const work = lane('work', of)
const quiet = lane('quiet', { ...of, prohibits: ['raw_case_text'] })
const keeps = lane('keeps', { ...of, raw_text: true })
const roles = [role('worker', ['work', 'quiet', 'keeps'])]
const recorded: PolicyTexts = { lanes: [work, quiet, keeps], roles }

const policyOf = ({ lanes, roles }: PolicyTexts): Policy =>
  policyOfTexts(JSON.stringify({ lanes }), JSON.stringify({ roles }))

const npm = { argv: ['npm', 'test'], program: { found: '/usr/bin/npm', real: '/usr/bin/npm' } }

/** One tool call in a run of its own. Answers with whether it was allowed. */
async function call(
  { runs }: LocalLedger,
  {
    command,
    lane_id = 'work',
    scope = {},
    tool,
  }: { command?: typeof npm; lane_id?: string; scope?: object; tool: string },
): Promise<string> {
  const { run_id } = await runs.create({ lane_id, role_id: 'worker', run_kind: 'tool_gateway' })
  await runs.start({ run_id })
  const action = {
    action_type: 'tool_call',
    command,
    lane_id,
    scope: { run_id, ...scope },
    target: { name: tool },
  } as const
  return (await runs.authorize({ run_id, action })).decision
}

async function replayed(ledger: LocalLedger, after: PolicyTexts, before = recorded) {
  const replay = new Replay({ after: policyOf(after), before: policyOf(before) })
  const differences: ReplayedDifference[] = []
  for await (const entry of ledger.log.read())
    differences.push(...[replay.take(entry)].filter((one) => one !== undefined))
  return { ...replay.found, differences }
}

const brief = (differences: ReplayedDifference[]) =>
  differences.map(({ after, before, on, target }) => [on, target.slice(0, 4), before.decision, ...after.rule_ids])

/** A recorded history: the calls, then the policy after, and what differs. */
const cases: [
  title: string,
  calls: Parameters<typeof call>[1][],
  after: PolicyTexts,
  counts: Partial<Awaited<ReturnType<typeof replayed>>>,
  differences: unknown[],
][] = [
  ['the same policy differs in nothing', [{ tool: 'read' }, { tool: 'drop' }], recorded, { decisions: 4 }, []],
  [
    'a tool that the lane lists no more is newly denied',
    [{ tool: 'read' }, { tool: 'write' }],
    { ...recorded, lanes: [lane('work', { ...of, tools: ['read'] }), quiet, keeps] },
    { decisions: 4, newly_denied: 1 },
    [['tool_call', 'writ', 'allow', 'lane:work/tools']],
  ],
  [
    'a tool that the lane lists now is newly allowed',
    [{ tool: 'drop' }],
    { ...recorded, lanes: [lane('work', { ...of, tools: ['drop'] }), quiet, keeps] },
    { decisions: 2, newly_allowed: 1 },
    [['tool_call', 'drop', 'deny', 'lane:work/tools']],
  ],
  [
    'a role that loses its lane is denied at each start and each action',
    [{ tool: 'read' }],
    { ...recorded, roles: [role('worker', ['quiet'])] },
    { decisions: 2, newly_denied: 2 },
    [
      ['start', 'run_', 'allow', 'role:worker/lanes'],
      ['tool_call', 'read', 'allow', 'role:worker/lanes'],
    ],
  ],
  [
    'a deny for another rule is counted apart',
    [{ tool: 'drop' }],
    { ...recorded, lanes: [lane('work', { ...of, requires: ['run_id', 'ticket'] }), quiet, keeps] },
    { decisions: 2, other_rules: 1 },
    [['tool_call', 'drop', 'deny', 'lane:work/tools', 'lane:work/requires/ticket']],
  ],
  [
    'what a lane withheld cannot be decided again',
    [{ lane_id: 'quiet', scope: { note: 'two words' }, tool: 'read' }],
    recorded,
    { decisions: 1, unknown: 1 },
    [],
  ],
  [
    'a command of which only the digest is known never counts as allowed by a binding',
    [{ command: npm, tool: 'npm.test' }],
    {
      ...recorded,
      lanes: [lane('work', { ...of, commands: [{ args: ['test'], program: 'npm', tool: 'npm.*' }] }), quiet, keeps],
    },
    { decisions: 1, unknown: 1 },
    [],
  ],
  [
    'a command whose words were recorded is decided again',
    [
      { command: npm, lane_id: 'keeps', tool: 'npm.test' },
      { command: { ...npm, argv: ['npm', 'run'] }, lane_id: 'keeps', tool: 'npm.test' },
    ],
    {
      ...recorded,
      lanes: [
        work,
        quiet,
        lane('keeps', { ...of, commands: [{ args: ['test'], program: 'npm', tool: 'npm.*' }], raw_text: true }),
      ],
    },
    { decisions: 4, newly_denied: 1, other_rules: 1 },
    [
      ['tool_call', 'npm.', 'allow', 'lane:keeps/tools', 'lane:keeps/commands'],
      ['tool_call', 'npm.', 'allow', 'lane:keeps/commands'],
    ],
  ],
]

for (const [title, calls, after, counts, expected] of cases) {
  replaying(title, () =>
    underPolicy(recorded, async (ledger) => {
      for (const each of calls) await call(ledger, each)
      const { differences, ...found } = await replayed(ledger, after)
      const none = { newly_allowed: 0, newly_denied: 0, other_rules: 0, unknown: 0 }
      equal({ ...none, ...found }, { ...none, ...counts })
      equal(
        brief(differences.filter(({ after, before }) => after.decision !== before.decision || counts.other_rules)),
        expected.map((row) => row),
      )
    }),
  )
}

replaying('the replay makes each recorded decision of its own policy again', () =>
  underPolicy(recorded, async (ledger) => {
    const decided: string[] = []
    const tools = ['read', 'write', 'drop', 'npm.test', 'constructor', '__proto__', 'Read']
    for (const tool of tools) decided.push(await call(ledger, { tool }))
    const nothing: PolicyTexts = { lanes: [lane('other', {})], roles: [role('worker', [])] }
    const { differences } = await replayed(ledger, nothing)
    const again = differences.filter(({ on }) => on === 'tool_call').map(({ before }) => before.decision)
    equal(again, decided)
    is(decided.filter((decision) => decision === 'allow').length, 3)
  }),
)

replaying.run()
