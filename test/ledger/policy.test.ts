import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { brokenLanes, brokenRoles } from '../../fixtures/policy/files.ts'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { dictation } from '../core/run/world.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError, configure, put } from '../support/scene.ts'

const test = suite('policy in force')
const lanes = readFileSync('examples/policy/case-work/lanes.yaml', 'utf8')
const roles = readFileSync('examples/policy/case-work/roles.yaml', 'utf8')
const operator = { actor_id: 'BECCA', actor_type: 'human' } as const
const lanesFile = 'contract/v1/policy/lanes.yaml'

/** A ledger of a root of its own, with the policy of the root in force; closed and verified at the end. */
function at(
  title: string,
  prepare: (root: string) => void,
  work: (ledger: LocalLedger, root: string) => Promise<void>,
): void {
  test(title, async () => {
    const root = temporaryRoot()
    prepare(root)
    const options = { dir: root, actor: testActor, self_check: true }
    const isOwn = existsSync(join(root, lanesFile))
    const ledger = await (isOwn ? openLedger({ ...options, create: true }) : openWithCaseWork(options))
    try {
      await work(ledger, root).catch(asPlainError)
    } finally {
      await ledger.close()
      await endsWithVerify(root)
    }
  })
}

/** The root's own policy, under Git if asked for. */
const own = (isCommitted: boolean) => (root: string) => {
  put(root, lanesFile, lanes)
  put(root, 'contract/v1/policy/roles.yaml', roles)
  if (isCommitted) commit(root)
}

function commit(root: string): string {
  const git = (...words: string[]) => execFileSync('git', ['-C', root, ...words], { encoding: 'utf8' }).trim()
  git('init', '-q')
  git('add', 'contract')
  git('-c', 'user.name=t', '-c', 'user.email=t@example.org', 'commit', '-qm', 'policy', '--allow-empty')
  return git('rev-parse', 'HEAD')
}

async function codeOf(call: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof call === 'function' ? call() : call)
  } catch (error) {
    if (error instanceof LockstepError) return error.code
    throw error
  }
  return 'none'
}

const none = () => {}

at('a root without a policy has the files in .lockstep, pinned by their blob ids', none, async (ledger, root) => {
  const shown = await ledger.policy.show()
  assert.equal(
    [shown.lanes.file, shown.lanes.source, shown.lanes.on_disk],
    ['.lockstep/policy/lanes.yaml', 'git-blob', 'same'],
  )
  const blob = execFileSync('git', ['hash-object', join(root, '.lockstep/policy/lanes.yaml')], { encoding: 'utf8' })
  assert.is(shown.lanes.pin, blob.trim())
  assert.is(shown.grants.length, 6)
  const { data } = await lastOf(ledger, 'policy.loaded')
  assert.is((data.lanes as { text: string }).text, lanes)
  assert.is(data.previous, null)
  assert.ok((await ledger.policy.reload({ actor: operator })).replayed)
})

at('a root’s own policy under Git is pinned by the commit that changed it', own(true), async (ledger, root) => {
  const { lanes: shown } = await ledger.policy.show()
  assert.equal([shown.file, shown.source], [lanesFile, 'git-commit'])
  assert.match(shown.pin, /^[0-9a-f]{40}$/)
  put(root, lanesFile, `${lanes}# changed\n`)
  assert.is((await ledger.policy.show()).lanes.on_disk, 'changed')
  const loaded = await ledger.policy.reload({ actor: operator })
  assert.is(loaded.lanes.source, 'git-blob')
  const { data } = await lastOf(ledger, 'policy.loaded')
  assert.equal(data.previous, { lanes: shown.pin, roles: loaded.roles.pin })
})

at(
  'an edit alone stops nobody; a reload of other content drifts, a commit without a change does not',
  own(true),
  async (ledger, root) => {
    const { runs } = ledger
    const of = {
      lane_id: dictation.lane_id,
      role_id: 'INTERVIEW_AGENT',
      case_id: 'CASE-17',
      run_kind: 'tool_gateway',
    } as const
    await runs.create({ ...of, run_id: 'run_tool1' })
    await runs.start({ run_id: 'run_tool1' })
    const decide = async () => (await runs.authorize({ run_id: 'run_tool1', action: dictation })).decision
    put(root, lanesFile, `${lanes}# changed\n`)
    assert.is(await decide(), 'allow')
    put(root, lanesFile, lanes.replaceAll('\n', '\r\n'))
    await ledger.policy.reload({ actor: operator })
    assert.is(await decide(), 'allow', 'other line ends are the same content')
    put(root, lanesFile, `${lanes}# changed\n`)
    await ledger.policy.reload({ actor: operator })
    assert.is((await ledger.policy.explain({ action: dictation, run_id: 'run_tool1' })).reason, 'drift')
    assert.is(await decide(), 'deny')
    assert.equal((await runs.why({ run_id: 'run_tool1' })).denied?.rule_ids, ['policy_drift'])
  },
)

at('an entry outside any run carries the pins in force', none, async (ledger, root) => {
  const pinsOfAppended = async () => {
    const { events } = await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
    const pinned: unknown[] = []
    for await (const { policy_versions } of ledger.log.read({ from: events[0]?.seq ?? 0 })) pinned.push(policy_versions)
    return pinned
  }
  const shown = async () => {
    const { lanes, roles } = await ledger.policy.show()
    return { lanes: lanes.pin, roles: roles.pin }
  }
  const before = await shown()
  assert.equal(await pinsOfAppended(), [before])
  put(root, '.lockstep/policy/lanes.yaml', `${lanes}# changed\n`)
  await ledger.policy.reload({ actor: operator })
  assert.not.equal(await shown(), before)
  assert.equal(await pinsOfAppended(), [await shown()])
})

at('nobody but the authority or an operator changes it; that is recorded', none, async (ledger, root) => {
  put(root, '.lockstep/policy/lanes.yaml', `${lanes}# changed\n`)
  const denied = async () => assert.is(await codeOf(ledger.policy.reload()), 'POLICY_DENIED')
  assert.equal(await typesAppended(ledger, denied), ['policy.refused'])
  assert.is((await ledger.policy.show()).lanes.on_disk, 'changed')
})

at('who may not change it is denied, on record, whatever is wrong with the files', none, async (ledger, root) => {
  const file = '.lockstep/policy/lanes.yaml'
  const faults = { broken: () => put(root, file, 'lanes: ['), missing: () => rmSync(join(root, file)) }
  for (const [actor_id, spoil] of Object.entries(faults)) {
    spoil()
    const reload = () => ledger.policy.reload({ actor: { actor_id, actor_type: 'agent' } })
    const denied = async () => assert.is(await codeOf(reload()), 'POLICY_DENIED')
    assert.equal(await typesAppended(ledger, denied), ['policy.refused'])
    assert.is(await codeOf(ledger.policy.reload({ actor: operator })), 'POLICY_INVALID')
  }
})

at('a file that cannot be used is refused with its line, and what was in force stays', none, async (ledger, root) => {
  put(root, '.lockstep/policy/lanes.yaml', 'lanes:\n  - lane_id: X\n    lane_id: Y\n')
  const refused = ledger.policy.reload({ actor: operator })
  assert.match(String(await refused.catch((error: Error) => error.message)), /^\.lockstep\/policy\/lanes\.yaml:3: /)
  assert.not((await ledger.policy.check()).loadable)
  assert.is((await ledger.policy.show()).grants.length, 6)
})

at('a policy too long for an entry is kept by its hash; one whose text is gone denies', none, async (ledger, root) => {
  put(root, '.lockstep/policy/lanes.yaml', `${lanes}${`# ${'long '.repeat(20)}\n`.repeat(300)}`)
  await ledger.policy.reload({ actor: operator })
  const { data } = await lastOf(ledger, 'policy.loaded')
  const { sha256, text } = data.lanes as { sha256: string; text?: string }
  assert.is(text, undefined)
  const kept = join(root, '.lockstep/policy/objects', sha256)
  assert.is(readFileSync(kept, 'utf8').length > 24 * 1024, true)
  await ledger.close()
  const started = async () => {
    const opened = await openLedger({ dir: root, actor: testActor })
    try {
      const { run_id } = await opened.runs.create({ run_kind: 'orchestrator' })
      return await codeOf(opened.runs.start({ run_id }))
    } finally {
      await opened.close()
    }
  }
  assert.is(await started(), 'none')
  rmSync(kept)
  assert.is(await started(), 'RUN_DENIED')
})

at(
  'pins: commit denies a run whose files are no commit’s',
  (root) => own(false)(root),
  async (ledger, root) => {
    await ledger.close()
    await configure(root, { pins: 'commit' })
    const opened = await openLedger({ dir: root, actor: testActor })
    try {
      const run = () => opened.runs.create({ run_kind: 'orchestrator' })
      const { run_id } = await run()
      assert.is(await codeOf(opened.runs.start({ run_id })), 'RUN_DENIED')
      assert.equal((await opened.runs.why({ run_id })).denied?.rule_ids, ['pin_missing:lanes', 'pin_missing:roles'])
      commit(root)
      await opened.policy.reload({ actor: operator })
      const { run_id: next } = await run()
      assert.is((await opened.runs.start({ run_id: next })).pin_evidence?.lanes?.source, 'git-commit')
    } finally {
      await opened.close()
    }
  },
)

at('malformed pins from a caller deny', none, async (ledger) => {
  const { runs } = ledger
  const create = async () => (await runs.create({ run_kind: 'orchestrator' })).run_id
  const run_id = await create()
  assert.is(await codeOf(runs.start({ run_id, policy_versions: { lanes: 'HEAD' } })), 'RUN_DENIED')
  assert.equal((await runs.why({ run_id })).denied, {
    ...(await runs.why({ run_id })).denied,
    missing: ['lanes'],
    rule_ids: ['pin_missing:lanes'],
  })
  const other = await create()
  assert.is(await codeOf(runs.start({ run_id: other, contract_version: 'v2' })), 'RUN_DENIED')
})

at('explain shows a decision and records none', none, async (ledger) => {
  const size = (await ledger.head.get()).size
  const asked = { role_id: 'INTERVIEW_AGENT', run_kind: 'tool_gateway', case_id: 'CASE-17' } as const
  assert.is((await ledger.policy.explain({ ...asked, action: dictation })).decision, 'allow')
  const verdict = await ledger.policy.explain({ ...asked, action: { ...dictation, scope: {} } })
  assert.equal([verdict.decision, verdict.reason], ['deny', 'missing_scope'])
  assert.is((await ledger.head.get()).size, size)
})

at('roles are bound where the configuration binds them', none, async (ledger, root) => {
  await ledger.close()
  await configure(root, { actors: { 'agent-1': ['INTAKE_AGENT'] } })
  const opened = await openLedger({ dir: root, actor: testActor })
  const of = { lane_id: dictation.lane_id, role_id: 'INTERVIEW_AGENT', run_kind: 'tool_gateway' } as const
  try {
    await opened.runs.create({ ...of, case_id: 'CASE-17', run_id: 'run_tool1' })
    assert.is(await codeOf(opened.runs.start({ run_id: 'run_tool1' })), 'RUN_DENIED')
    assert.equal((await opened.runs.why({ run_id: 'run_tool1' })).denied?.rule_ids, ['role:INTERVIEW_AGENT/actors'])
  } finally {
    await opened.close()
  }
})

at(
  'who makes a run for another acts in it under no role that the configuration keeps from himself',
  none,
  async (ledger, root) => {
    await ledger.close()
    const agent = (actor_id: string) => ({ actor_id, actor_type: 'agent' }) as const
    await configure(root, { actors: { 'agent-2': ['INTERVIEW_AGENT'], 'agent-3': ['INTERVIEW_AGENT'] } })
    const opened = await openLedger({ dir: root, actor: testActor })
    const of = { lane_id: dictation.lane_id, role_id: 'INTERVIEW_AGENT', run_kind: 'tool_gateway' } as const
    const { runs } = opened
    const made = async (run_id: string) => {
      await runs.create({ ...of, case_id: 'CASE-17', parent_run_id: 'run_top_1', run_actor: agent('agent-2'), run_id })
      await runs.start({ run_id, actor: agent('agent-2') })
      return { run_id, action: { ...dictation, scope: { ...dictation.scope, run_id } } }
    }
    try {
      await runs.create({ run_id: 'run_top_1', run_kind: 'orchestrator' })
      await runs.start({ run_id: 'run_top_1' })
      const asked = await made('run_tool1')
      assert.equal((await opened.policy.explain(asked)).rule_ids, ['role:INTERVIEW_AGENT/actors'])
      const { decision, reason, rule_ids } = await runs.authorize(asked)
      assert.equal([decision, reason, rule_ids], ['deny', 'not_permitted', ['role:INTERVIEW_AGENT/actors']])
      const by = await runs.authorize({ ...(await made('run_tool2')), actor: agent('agent-2') })
      assert.is(by.decision, 'allow')
      assert.is(
        await codeOf(runs.authorize({ ...(await made('run_tool3')), actor: agent('agent-3') })),
        'NOT_RUN_ACTOR',
      )
    } finally {
      await opened.close()
    }
  },
)

test('whatever is wrong with a file, it is refused with its place, nothing is put in force, and no run starts', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, actor: testActor, self_check: true, create: true, policy: false })
  const files = [
    ...brokenLanes.map(([title, text]) => [title, text, roles] as const),
    ...brokenRoles.map(([title, text]) => [title, lanes, text] as const),
  ]
  assert.ok(files.length > 20)
  for (const [index, [title, lanesText, rolesText]] of files.entries()) {
    put(root, lanesFile, lanesText)
    put(root, 'contract/v1/policy/roles.yaml', rolesText)
    const refused = await ledger.policy.reload().catch((error: LockstepError) => error)
    assert.instance(refused, LockstepError, title)
    assert.is((refused as LockstepError).code, 'POLICY_INVALID', title)
    const { problems } = (refused as LockstepError).details as { problems: { file: string; line: number }[] }
    for (const { file, line } of problems) assert.ok(/(?:lanes|roles)\.yaml$/.test(file) && line >= 1, title)
    assert.ok(problems.length > 0, title)
    const run_id = `run_broken_${index}`
    await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
    assert.is(await codeOf(ledger.runs.start({ run_id })), 'RUN_DENIED', title)
    assert.ok((await ledger.runs.why({ run_id })).denied?.rule_ids.includes('policy_unreadable'), title)
  }
  assert.equal((await ledger.audit.list({ type: 'policy.loaded' })).events, [])
  await ledger.close()
  await endsWithVerify(root)
})

test('a root whose own policy is broken gets no ledger', async () => {
  const root = temporaryRoot()
  put(root, lanesFile, 'lanes: [')
  put(root, 'contract/v1/policy/roles.yaml', roles)
  assert.is(await codeOf(openLedger({ dir: root, actor: testActor, create: true })), 'POLICY_INVALID')
})

test.run()
