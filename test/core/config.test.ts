import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { configSchema, defaultConfig, isAuthority, isOperator } from '../../src/kernel/config.ts'

const test = suite('config')

test('everything has a default', () => {
  assert.equal(defaultConfig, {
    release_authority: 'BECCA',
    operators: [],
    target_prefix: 'IAMBECCA',
    runs_dir: 'runtime/runs',
    deliverable_lease_s: { min: 60, max: 3_600 },
    execution_roots: {},
    pins: 'any',
    promotion_roles: ['GOVERNANCE_AGENT', 'ATTORNEY_ADMIN'],
    accept_permissions: false,
    record_contention: false,
    exports: { approvals_required: [] },
    turn_limits: { object_bytes: 1024 * 1024, turn_bytes: 64 * 1024 * 1024, stems: 10_000, refs: 100_000 },
    workspace_dir: 'workspace',
    staging_cleanup: 'on_promotion',
    socket_auth: 'actor',
    mcp: { max_idle_s: 3_600, turn_apply: false },
    workflows: { optimistic: false },
    retention: { classes: {}, minimum: '183d' },
    anchors: [],
    anchor_every_s: 600,
    hooks: { auto_lease_s: 900, edits: 'auto', role_id: 'agent', runs: false },
  })
})

test('a configured part keeps the defaults of the others', () => {
  const config = configSchema.parse({ deliverable_lease_s: { min: 1 }, operators: ['ana'] })
  assert.equal(config, { ...defaultConfig, deliverable_lease_s: { min: 1, max: 3_600 }, operators: ['ana'] })
})

for (const [title, given] of [
  ['another authority', { release_authority: 'ZED' }],
  ['another first word', { target_prefix: 'OTHER' }],
  ['another runs folder', { runs_dir: 'projects/runs' }],
  ['a hard floor of one second', { deliverable_lease_s: { min: 1, max: 1 } }],
  ['execution roots with a prefix each', { execution_roots: { 'alpha/deliverables': 'alpha', beta: 'b.2_c-d' } }],
  ['write scopes', { write_scopes: { 'agent-1': 'deliverable-local', ORCHESTRATOR: 'tool-root-only' } }],
  ['pins that are commits only', { pins: 'commit' }],
  ['actors with their roles', { actors: { 'agent-1': ['INTERVIEW_AGENT'], 'agent-2': [] } }],
  ['approvals that every export needs', { exports: { approvals_required: ['compliance'] } }],
  ['a disk without modes', { accept_permissions: true }],
  ['contention as entries', { record_contention: true }],
  [
    'other bounds of a turn',
    { turn_limits: { object_bytes: 1, turn_bytes: 256 * 1024 * 1024, stems: 100_000, refs: 1_000_000 } },
  ],
  ['files of workspaces elsewhere', { workspace_dir: 'runtime/state' }],
  ['staged files that stay', { staging_cleanup: 'never' }],
  ['a hundred operators', { operators: Array.from({ length: 100 }, (_, index) => `op ${index}`) }],
] as const) {
  test(`it may have ${title}`, () => {
    assert.equal(configSchema.parse(given), { ...defaultConfig, ...given })
  })
}

for (const [title, given, where] of [
  ['a member it does not know', { release_autority: 'ZED' }, ''],
  ['an authority that is nobody', { release_authority: '' }, 'release_authority'],
  ['an authority of two lines', { release_authority: 'a\nb' }, 'release_authority'],
  ['more than a hundred operators', { operators: Array.from({ length: 101 }, () => 'x') }, 'operators'],
  ['an absolute runs folder', { runs_dir: '/var/runs' }, 'runs_dir'],
  ['a runs folder outside the root', { runs_dir: 'a/../../b' }, 'runs_dir'],
  ['an approval that is none', { exports: { approvals_required: ['anyone'] } }, 'exports.approvals_required.0'],
  ['no runs folder', { runs_dir: '' }, 'runs_dir'],
  ['a workspace in .lockstep', { workspace_dir: '.lockstep/state' }, 'workspace_dir'],
  ['a lease of no seconds', { deliverable_lease_s: { min: 0 } }, 'deliverable_lease_s.min'],
  ['a lease longer than an hour', { deliverable_lease_s: { max: 3_601 } }, 'deliverable_lease_s.max'],
  ['a lease in words', { deliverable_lease_s: { max: '60' } }, 'deliverable_lease_s.max'],
  ['a shortest lease longer than the longest', { deliverable_lease_s: { min: 61, max: 60 } }, 'deliverable_lease_s'],
  ['a third bound of leases', { deliverable_lease_s: { default: 60 } }, 'deliverable_lease_s'],
  ['an execution root outside the root', { execution_roots: { '../x': 'x' } }, 'execution_roots.../x'],
  ['a prefix with a slash', { execution_roots: { x: 'a/b' } }, 'execution_roots.x'],
  ['a prefix of 61 characters', { execution_roots: { x: 'p'.repeat(61) } }, 'execution_roots.x'],
  ['a prefix that is empty', { execution_roots: { x: '' } }, 'execution_roots.x'],
  ['a scope that is empty', { write_scopes: { 'agent-1': '' } }, 'write_scopes.agent-1'],
  ...(['actors', 'execution_roots', 'write_scopes'] as const).map(
    (name) => [`a prototype in ${name}`, { [name]: JSON.parse('{"__proto__":"x"}') }, name] as const,
  ),
  ['a switch that is no switch', { record_contention: 'yes' }, 'record_contention'],
] as const) {
  test(`it may not have ${title}, and says where`, () => {
    const [issue] = configSchema.safeParse(given).error?.issues ?? []
    assert.is(issue?.path.join('.'), where)
  })
}

test('the authority and the operators may break locks; only the authority counts as the authority', () => {
  const config = configSchema.parse({ release_authority: 'ZED', operators: ['ana'] })
  assert.equal(
    ['ZED', 'ana', 'BECCA', 'zed'].map((who) => [isAuthority(config, who), isOperator(config, who)]),
    [
      [true, true],
      [false, true],
      [false, false],
      [false, false],
    ],
  )
})

test.run()
