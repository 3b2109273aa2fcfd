import { join } from 'node:path'
import type { Api } from '../../src/api/api.ts'
import { put } from '../support/scene.ts'

/** Makes an input with every string that a caller can state. `id` differs for each call, so that each can succeed. */
export type Make = (id: string, stage: { api: Api; root: string }) => object | Promise<object>

const actor = { actor_id: 'agent-1', actor_type: 'agent', on_behalf_of: 'somebody', role_id: 'INTERVIEW_AGENT' }
const becca = { actor_id: 'BECCA', actor_type: 'human' as const, on_behalf_of: 'somebody', role_id: 'ATTORNEY_ADMIN' }
const hash = 'ab'.repeat(32)
const time = '2026-01-02T03:04:05.678Z'
const artifact = {
  artifact_id: 'artifact-1',
  artifact_kind: 'audio',
  case_id: 'CASE-17',
  confidentiality: { notes: 'none' },
  content_type: 'audio/wav',
  created_at_utc: time,
  hash_sha256: hash,
  hash_source: 'bytes',
  lineage: { derived_from: ['artifact-0'], run_id: 'run_main_1', transformation: 'cut' },
  scope: 'case',
  storage_locator: 'files/a.wav',
}
const redaction = { notes: 'a', redaction_applied: true, redaction_profile_id: 'a', withheld: ['reason'] }
const bundle = { approvals: ['apr_0123456789abcdef'], bundle_kind: 'other', redaction, size: 1 }
const action = {
  action_type: 'tool_call',
  artifacts: [artifact],
  bundle: { ...bundle, select: { run_id: 'run_main_1' } },
  command: { argv: ['rec', 'a.wav'], program: { found: '/usr/bin/rec', real: '/usr/bin/rec' } },
  effects: ['external_transfer'],
  lane_id: 'TOOL_INTERVIEW_CAPTURE',
  scope: { case_id: 'CASE-17', client_session_id: 's-1' },
  target: { mode: 'read', name: 'dictation.start' },
}
/** The other forms of a selection. */
const others = [{ case_id: 'CASE-17' }, { lock: 'guard' }].map((select) => {
  const { action_type, lane_id, target } = action
  const command = { argv_sha256: 'ab'.repeat(32) }
  return { action_type, bundle: { bundle_kind: 'other', select, size: 1 }, command, lane_id, scope: {}, target }
})
const error = { error_code: 'E_1', message: 'it_failed', retryable: true, stack_ref: 'files/stack.txt' }
const lockId = (id: string) => `lck_${'a'.repeat(16)}${id}`
const runId = (id: string) => `run_host_${id}`
const turn_id = 'turn-0001'
const asked = (id: string) => ({ actor, idempotency_key: `key-${id}` })
const target_name = (id: string) => `IAMBECCA | CLIENT | TYPE | slug${id} | NAME`
const projectRun = (id: string) => `run_CLIENT_slug${id}_2026-01-02_001`
const triplets = [{ base_digest: hash, body: { dto_type: 'note', id: 'one' }, links: {}, manifest: {}, stem: 'one' }]

const newToken = (id: string) => {
  const of = { grants: ['agent' as const], roles: ['a'], token_actor: { actor_id: 'a', actor_type: 'agent' as const } }
  return { ...of, actor: becca, idempotency_key: `key-${id}` }
}

/** A selection of free texts. */
const selected = { actor_id: 'agent-1', case_id: 'CASE-17', fields: ['/data/notes'], run_id: 'run_main_1' }

/** A running run of the caller, to act on. */
async function running(id: string, { api }: { api: Api }): Promise<string> {
  const run_id = runId(id)
  await api.runs.create({ case_id: 'CASE-17', run_id, run_kind: 'orchestrator' })
  await api.runs.start({ run_id })
  return run_id
}

/** The same with a staged turn. */
async function staged(id: string, stage: { api: Api }): Promise<string> {
  const run_id = await running(id, stage)
  await stage.api.turns.stage({ run_id, turn_id, triplets: [{ body: {}, stem: 'one' }] })
  return run_id
}

/** The facts of an issue. */
const details = {
  base_digest: hash,
  current_digest: hash,
  dto_type: 'note',
  id: 'one',
  kind: 'tombstone',
  other: 'two',
  pointer: '/a',
  problem: 'syntax',
  promoted_dto_type: 'note',
  promoted_id: 'one',
  stem: 'one',
  type: 'note',
}
const ofTurn = (id: string, run_id: string) => {
  return { ...asked(id), guard: { name: 'resource:guard', token: 1 }, run_id, turn_id }
}
const content = (id: string, run_id: string) => ({
  ...ofTurn(id, run_id),
  delete_stem: ['two'],
  issues: [{ code: 'I_STAGING_EMPTY', details, level: 'info', location: '/a', message: 'a', stage: 'stage' }],
  tombstones: [
    { base_digest: hash, deleted_by_turn_id: turn_id, dto_type: 'note', id: 'two', kind: 'tombstone', stem: 'two' },
  ],
  triplets,
})
const filters = {
  action_type: 'system',
  actor_id: 'agent-1',
  case_id: 'CASE-17',
  lock: 'resource:guard',
  outcome: 'success',
  run_id: 'run_main_1',
  since: time,
  stream: 'audit',
  type: 'audit.recorded',
  until: time,
}
const ending = async (id: string, stage: { api: Api }) => {
  return { ...asked(id), outcome_reason: 'done', run_id: await running(id, stage) }
}

/** For every operation with strings in its input: an input of each form. */
export const fullInputs: Readonly<Record<string, readonly Make[]>> = {
  'audit.append': [
    (id) => {
      const of = { action_type: 'override', corrects: 'evt_x_00000', notes: 'a', outcome: 'success', severity: 'info' }
      const hashes = { request_hash_sha256: hash, response_hash_sha256: hash }
      const target = { name: 'a', operation: 'b', target_type: 'system' }
      const options = { ...asked(id), correlation_id: 'c-1', guard: { name: 'resource:guard', token: 1 } }
      return { ...options, actor: becca, events: [{ ...of, ...hashes, outcome_reason: 'b', target }] }
    },
    (id) => {
      const about = { case_id: 'CASE-17', lane_id: 'TOOL_INTERVIEW_CAPTURE', role_id: 'INTERVIEW_AGENT' }
      const artifacts = { input_artifacts: [artifact], output_artifacts: [artifact] }
      return { ...asked(id), events: [{ action_type: 'system', outcome: 'success', ...about, ...artifacts }] }
    },
    (id) => {
      const of = { action_type: 'tool_call', decision_id: 'evt_x_00000', outcome: 'failure', run_id: 'run_main_1' }
      const { stack_ref: _, ...reported } = error
      return { ...asked(id), events: [{ ...of, error: reported, output_artifacts: [artifact] }] }
    },
    (id) => ({ ...asked(id), events: [{ action_type: 'system', outcome: 'success', run_id: 'run_main_1' }] }),
  ],
  'audit.entries': [() => filters],
  'audit.list': [() => filters],
  'clock.reset': [() => ({ actor: becca, reason: 'a' })],
  'config.reload': [
    async (_, { api }) => ({
      actor: becca,
      confirm_retention_minimum: '183d',
      sha256: (await api.config.check()).sha256,
    }),
  ],
  'erasures.approve': [
    (id) => ({ ...asked(id), actor: becca, digests: ['a'.repeat(64)], reason: 'secret_leaked' }),
    (id) => ({ ...asked(id), actor: becca, reason: 'secret_leaked', texts: { ...selected, to: 1 } }),
  ],
  'erasures.erase': [
    () => ({
      actor: becca,
      approval_id: 'era_0123456789abcdefghijk',
      digests: ['a'.repeat(64)],
      reason: 'secret_leaked',
    }),
    () => ({ actor: becca, approval_id: 'era_0123456789abcdefghijk', texts: true }),
  ],
  'erasures.preview': [() => ({ texts: selected })],
  'exports.approve': [
    ...[{ run_id: 'run_main_1' }, { case_id: 'CASE-17' }, { lock: 'guard' }].map((select) => (id: string) => {
      const bound = { bundle_kind: 'other', redaction, select }
      return { ...asked(id), ...bound, actor: becca, approval_type: 'attorney_admin', notes: 'a' }
    }),
  ],
  'exports.create': [
    (id) => ({
      actor: becca,
      approvals: ['apr_0123456789abcdef'],
      bundle_description: 'all',
      bundle_kind: 'internal_review',
      bundle_name: 'a',
      effects: ['external_transfer'],
      file: `bundle-${id}.tar.gz`,
      lane_id: 'EXPORT_CASE_DATA',
      matter_id: 'matter-1',
      parent_run_id: 'run_main_1',
      redaction,
      role_id: 'ATTORNEY_ADMIN',
      scope: { case_id: 'CASE-17', export_reason: 'asked' },
      select: { run_id: 'run_done_1' },
    }),
    ...[{ case_id: 'CASE-17' }, { lock: 'guard' }].map((select) => (id: string) => {
      return { actor: becca, file: `bundle-${id}.tar.gz`, lane_id: 'EXPORT_CASE_DATA', select }
    }),
  ],
  // This actor may not do it: a sealed ledger would refuse every later call.
  'log.seal': [() => ({ actor, to: `leveldb:${hash.slice(0, 32)}` })],
  'log.backup': [(id) => ({ file: `backup-${id}.tar.gz` })],
  'exports.get': [() => ({ bundle_id: 'bundle-0000001' }), () => ({ run_id: 'run_done_1' })],
  'locks.acquire': [
    (id) => ({ actor, holder: 'agent-1', lock_id: lockId(id), name: `name-${id}`, reason: 'a' }),
    (id) => ({ actor, holder: 'agent-1', lock_id: lockId(id), paths: [`paths/${id}.ts`], reason: 'a' }),
    (id, { root }) => {
      put(root, `work/DEL-08-05_${id}/a.txt`, 'a')
      const folder = join('work', `DEL-08-05_${id}`)
      return { actor, folder, holder: 'agent-1', lock_id: lockId(id), pids: [process.pid], reason: 'a' }
    },
    (id) => ({
      actor: becca,
      lock_owner: 'BECCA',
      reason: 'a',
      release_conditions: ['state == COMPLETE'],
      run_id: projectRun(id),
      target_name: target_name(id),
    }),
  ],
  'locks.acquireAll': [
    (id) => ({ actor, holder: 'agent-1', lock_ids: [lockId(id)], names: [`name-${id}`], reason: 'a' }),
  ],
  'locks.break': [
    async (id, { api }) => {
      await api.locks.acquire({ holder: 'a', name: `name-${id}` })
      return { actor: becca, name: `name-${id}`, reason: 'a' }
    },
    () => ({ actor: becca, folder: 'work', reason: 'a' }),
  ],
  'locks.check': [(id) => ({ run_id: projectRun(id), target_name: target_name(id) })],
  'locks.history': [() => ({ name: 'guard' })],
  'locks.importFile': [() => ({ actor: becca, file: 'RUN_LOCK.json', reason: 'a' })],
  'locks.list': [() => ({ under: 'work' }), () => ({ paths: ['work/a.js'] })],
  'locks.recover': [() => ({ actor, folder: 'work', name: 'guard', reason: 'a' })],
  'locks.release': [
    async (id, { api }) => {
      await api.locks.acquire({ holder: 'a', lock_id: lockId(id), name: `name-${id}` })
      return { actor, lock_id: lockId(id), outcome: 'success' }
    },
    (id) => ({ actor: becca, final_status: 'COMPLETE', reason: 'a', run_id: projectRun(id) }),
  ],
  'locks.renew': [
    async (id, { api }) => {
      await api.locks.acquire({ holder: 'a', lock_id: lockId(id), name: `name-${id}` })
      return { actor, lock_id: lockId(id) }
    },
  ],
  'locks.retire': [() => ({ actor, folder: 'work', reason: 'a' })],
  'locks.status': [() => ({ name: 'guard' }), () => ({ folder: 'work' })],
  'policy.explain': [
    () => ({ action, actor, run_id: 'run_main_1' }),
    () => ({ action, actor_type: 'agent', case_id: 'CASE-17', role_id: 'INTERVIEW_AGENT', run_kind: 'tool_gateway' }),
    ...others.map((action) => () => ({ action, run_id: 'run_main_1' })),
    ...others.map((action) => () => ({ action, role_id: 'INTERVIEW_AGENT', run_kind: 'tool_gateway' })),
  ],
  'policy.check': [() => ({ from: 'home' })],
  'policy.reload': [
    async (_, { api }) => {
      const { sha256 } = await api.policy.check({ from: 'home' })
      return { actor: becca, from: 'home', lanes_sha256: sha256?.lanes, roles_sha256: sha256?.roles }
    },
  ],
  'runs.authorize': [
    async (id, { api }) => {
      const run_id = runId(id)
      const of = { case_id: 'CASE-17', lane_id: action.lane_id, role_id: 'INTERVIEW_AGENT' }
      await api.runs.create({ ...of, parent_run_id: 'run_main_1', run_id, run_kind: 'tool_gateway' })
      await api.runs.start({ run_id })
      return { ...asked(id), action: { ...action, scope: { ...action.scope, run_id } }, run_id }
    },
    ...others.map((action) => () => ({ action, run_id: 'run_main_1' })),
  ],
  'runs.cancel': [ending],
  'runs.cancelTree': [ending],
  'runs.complete': [
    async (id, stage) => ({ ...(await ending(id, stage)), output_artifacts: [artifact], release_lock: false }),
  ],
  'runs.create': [
    (id) => ({
      ...asked(id),
      case_id: 'CASE-17',
      client_session_id: 's-1',
      correlation_id: 'c-1',
      data_classification: { notes: 'a' },
      inputs: { artifact_refs: [artifact], parameters_hash_sha256: hash },
      lane_id: 'TOOL_INTERVIEW_CAPTURE',
      matter_id: 'matter-1',
      nondeterminism: { is_nondeterministic: true, reasons: ['a'], replay_strategy: 'best_effort' },
      notes: 'a',
      parent_run_id: 'run_main_1',
      role_id: 'INTERVIEW_AGENT',
      root_run_id: 'run_main_1',
      run_actor: actor,
      run_id: runId(id),
      run_kind: 'tool_gateway',
      run_name: 'a',
      tags: ['a'],
      tool_versions: [{ key: 'a', value: 'b' }],
      workflow_id: 'a',
      workflow_state: 'a',
    }),
  ],
  'runs.deny': [ending],
  'runs.fail': [async (id, stage) => ({ ...(await ending(id, stage)), error, output_artifacts: [artifact] })],
  'runs.get': [() => ({ run_id: 'run_main_1' })],
  'runs.heartbeat': [(id) => ({ ...asked(id), run_id: 'run_main_1' })],
  'runs.list': [
    () => {
      const { actor_id, case_id, since, until } = filters
      const of = { lane_id: 'TOOL_INTERVIEW_CAPTURE', run_kind: 'orchestrator', status: 'running' }
      return { actor_id, case_id, cursor: 'run_main_1', since, until, ...of }
    },
  ],
  'runs.record': [
    (id) => {
      const { stack_ref: _, ...reported } = error
      const hashes = { request_hash_sha256: hash, response_hash_sha256: hash }
      const of = { action_type: 'tool_call', decision_id: 'evt_x_00000', outcome: 'failure', outcome_reason: 'a' }
      const { target } = action
      return {
        ...asked(id),
        ...hashes,
        ...of,
        error: reported,
        output_artifacts: [artifact],
        run_id: 'run_main_1',
        target,
      }
    },
  ],
  'runs.recover': [async (id, stage) => ({ ...asked(id), reason: 'a', run_id: await running(id, stage) })],
  'runs.retry': [
    async (id, stage) => {
      const run_id = await running(id, stage)
      await stage.api.runs.fail({ error: { ...error, stack_ref: null }, outcome_reason: 'a', run_id })
      return { ...asked(id), new_run_id: `${run_id}_again`, retry_reason: 'a', run_id }
    },
  ],
  'runs.start': [
    async (id, { api }) => {
      await api.runs.create({ run_id: runId(id), run_kind: 'orchestrator' })
      const of = { contract_version: 'v1', lock: 'resource:guard', policy_versions: { lanes: hash, roles: hash } }
      return { ...asked(id), ...of, run_id: runId(id), taxonomy_versions: { coa: 'a', entities: 'b', tags: 'c' } }
    },
  ],
  'runs.tree': [() => ({ run_id: 'run_main_1' })],
  'runs.why': [() => ({ run_id: 'run_main_1' })],
  'staging.consume': [() => ({ directory: 'work', run_id: 'run_main_1', turn_id })],
  'staging.folder': [() => ({ run_id: 'run_main_1', turn_id })],
  'keys.adopt': [() => ({ actor: becca, checkpoint: 'a', reason: 'a' })],
  'keys.retire': [() => ({ actor: becca, vkey: 'a' })],
  'keys.rotate': [() => ({ actor: becca })],
  'retention.hold': [
    ...[{ all: true }, { case_id: 'CASE-17' }, { class: 'work' }, { run_id: 'run_main_1' }].map(
      (of) => (id: string) => {
        return { ...asked(id), actor: becca, reason: 'a', ...of }
      },
    ),
  ],
  'retention.lift': [() => ({ actor: becca, hold_id: 'hld_0123456789abcdefghijk' })],
  'retention.sweep': [() => ({ actor: becca })],
  'tokens.create': [(id) => newToken(id)],
  'tokens.list': [() => ({ cursor: `tok_${'0'.repeat(24)}` })],
  'tokens.revoke': [
    async (id, { api }) => {
      const { token_id } = await api.tokens.create(newToken(id))
      return { actor: becca, reason: 'a', token_id }
    },
  ],
  'turns.apply': [
    async (id, stage) => content(id, await running(id, stage)),
    () => ({ proposal_digest: hash, run_id: 'run_main_1', turn_id }),
    async (id, stage) => ({ ...content(id, await running(id, stage)), decision_id: 'evt_x_00000' }),
  ],
  'turns.get': [() => ({ run_id: 'run_main_1', turn_id })],
  'turns.list': [() => ({ run_id: 'run_main_1' })],
  'turns.promote': [
    async (id, stage) => ({ ...ofTurn(id, await staged(id, stage)), manifest_digest: hash }),
    async (id, stage) => ({ ...ofTurn(id, await staged(id, stage)), decision_id: 'evt_x_00000' }),
  ],
  'turns.reject': [async (id, stage) => ({ ...ofTurn(id, await staged(id, stage)), reason: 'a' })],
  'turns.stage': [
    async (id, stage) => content(id, await running(id, stage)),
    async (id, stage) => ({ run_id: await running(id, stage), triplets, turn_id }),
    () => ({ proposal_digest: hash, run_id: 'run_main_1', turn_id }),
  ],
  'turns.validate': [async (id, stage) => ({ ...ofTurn(id, await staged(id, stage)), manifest_digest: hash })],
  'workspaces.check': [() => ({ run_id: 'run_main_1' }), () => ({ workflow_id: 'a' })],
  'workspaces.digest': [() => ({ run_id: 'run_main_1' }), () => ({ workflow_id: 'a' })],
  'workspaces.object': [() => ({ digest: hash })],
  'workspaces.pin': [async (id, stage) => ({ actor, name: 'a', run_id: await running(id, stage), turn_id })],
  'workspaces.pins': [() => ({ run_id: 'run_main_1' }), () => ({ workflow_id: 'a' })],
  'workspaces.refs': [() => ({ run_id: 'run_main_1' }), () => ({ workflow_id: 'a' })],
  'workspaces.stem': [() => ({ run_id: 'run_main_1', stem: 'a' }), () => ({ stem: 'a', workflow_id: 'a' })],
  'workspaces.triplets': [() => ({ run_id: 'run_main_1' }), () => ({ workflow_id: 'a' })],
  'workspaces.unpin': [async (id, stage) => ({ actor, name: 'a', run_id: await running(id, stage) })],
}
