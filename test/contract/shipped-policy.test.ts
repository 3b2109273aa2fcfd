import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { authorize } from '../../src/domain/policy/authorize.ts'
import { standsFor } from '../../src/domain/policy/policy.ts'
import { readPolicy } from '../../src/files/policy/policy-file.ts'
import { openLedger } from '../../src/open.ts'
import { lastOf } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { policyOfTexts } from '../support/policy-tables.ts'

const shipped = suite('the shipped policy')

const files = { lanes: 'contract/v1/policy/lanes.yaml', roles: 'contract/v1/policy/roles.yaml' }
const texts = { lanes: readFileSync(files.lanes, 'utf8'), roles: readFileSync(files.roles, 'utf8') }
const policy = policyOfTexts(texts.lanes, texts.roles)

shipped('has no findings of the linter', () => {
  const file = (path: string) => ({ file: path, bytes: readFileSync(path) })
  const read = readPolicy({ lanes: file(files.lanes), roles: file(files.roles) })
  equal('findings' in read ? read.findings : read.problems, [])
})

shipped('lets agents edit, run commands and look things up, and lets only humans release', () => {
  const open = [...policy.lanes.values()].map(({ allowed_callers, lane_id }) => [lane_id, allowed_callers.roles])
  equal(open, [
    ['edit', ['agent', 'operator']],
    ['shell', ['agent', 'reviewer', 'operator']],
    ['network', ['agent', 'reviewer', 'operator']],
    ['release', ['operator']],
  ])
  equal(
    [...policy.roles.values()].map((role) => [role.role_id, role.class]),
    [
      ['agent', 'agent'],
      ['reviewer', 'agent'],
      ['operator', 'human'],
    ],
  )
})

shipped('is put in force by the first open, from .lockstep, pinned by the blob ids of its files', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ actor: testActor, create: true, dir: root, self_check: true })
  try {
    const { lanes } = await ledger.policy.show()
    equal([lanes.file, lanes.source, lanes.on_disk], ['.lockstep/policy/lanes.yaml', 'git-blob', 'same'])
    const blob = execFileSync('git', ['hash-object', join(root, '.lockstep/policy/lanes.yaml')], { encoding: 'utf8' })
    is(lanes.pin, blob.trim())
    const { data } = await lastOf(ledger, 'policy.loaded')
    equal([(data.lanes as { text: string }).text, (data.roles as { text: string }).text], [texts.lanes, texts.roles])
  } finally {
    await ledger.close()
    await endsWithVerify(root)
  }
})

/** A name as a lane lists it, a target, and whether the one stands for the other. */
const names: [listed: string, target: string, isMatch: boolean][] = [
  ['Edit', 'Edit', true],
  ['Edit', 'edit', false],
  ['Edit', 'Edit2', false],
  ['git.*', 'git.status', true],
  ['git.*', 'git.', false],
  ['git.*', 'git', false],
  ['git.*', 'gitXstatus', false],
  ['git.*', 'Git.status', false],
  ['git.*', 'git.*', false],
  ['git.*', 'git.push force', false],
  ['git.*', 'git.push\n', false],
  ['git.*', 'git.\u0000', false],
  ['git.*', 'git.\u202epush', false],
  ['git.*', 'git.pu\u0441h', false],
  ['git.*', `git.${'x'.repeat(116)}`, true],
  ['git.*', `git.${'x'.repeat(117)}`, false],
  ['mcp__*', 'mcp__github__create_issue', true],
  ['mcp__*', 'mcp__', false],
  ['MCP:*', 'MCP:search', true],
  ['c*', 'constructor', true],
  ['Edit', 'constructor', false],
  ['c*', '__proto__', false],
  ['facts*', 'facts_of_today', true],
  ['facts*', 'facts.shared_playbooks', false],
  ['s*', 'shared_playbooks', false],
  ['shared*', 'shared_playbooks', false],
  ['shared_*', 'shared_playbooks', true],
]

for (const [listed, target, isMatch] of names) {
  const title = `${listed} ${isMatch ? 'stands' : 'does not stand'} for ${JSON.stringify(target.slice(0, 40))}`
  shipped(title, () => is(standsFor(listed, target), isMatch))
}

const pin = 'a'.repeat(40)

/** The verdict on a tool call in a running run of a role. */
function verdictOn(role_id: string, lane_id: string, name: string, actor_type: 'agent' | 'human' = 'agent') {
  const run_id = 'run_example1'
  const policy_versions = { lanes: pin, roles: pin }
  return authorize({
    action: { action_type: 'tool_call', lane_id, scope: { run_id, export_reason: 'asked for' }, target: { name } },
    policy,
    run: {
      run_id,
      run_kind: 'tool_gateway',
      status: 'running',
      actor_type,
      role_id,
      lane_id,
      case_id: null,
      contract_version: 'v1',
      policy_versions,
      policy_sha256: policy.sha256,
    },
  })
}

shipped('denies a release to agents, and to an agent that claims to be an operator', () => {
  equal(verdictOn('agent', 'release', 'release.publish').rule_ids, ['role:agent/lanes', 'lane:release/allowed_callers'])
  equal(verdictOn('operator', 'release', 'release.publish').rule_ids, ['role:operator/class'])
  equal(verdictOn('operator', 'release', 'release.publish', 'human').decision, 'allow')
})

shipped('denies a tool that no lane lists, in every lane', () => {
  for (const lane of policy.lanes.keys()) {
    const { decision, rule_ids } = verdictOn('operator', lane, 'unknown_tool', 'human')
    equal([decision, rule_ids], ['deny', [`lane:${lane}/tools`]])
  }
})

shipped.run()
