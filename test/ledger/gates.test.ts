// limit: 600
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Action } from '../../src/domain/policy/action.ts'
import { mediators } from '../../src/domain/policy/checks.ts'
import type { Lane } from '../../src/domain/policy/policy.ts'
import { LockstepError } from '../../src/errors.ts'
import type { ArtifactRef } from '../../src/kernel/artifact-ref.ts'
import type { Actor } from '../../src/kernel/ids.ts'
import { privilegedActions, runKinds } from '../../src/kernel/vocabulary.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import {
  actionForbids,
  inputsForbid,
  type ModelRun,
  mayRecordPartial,
  outputsForbid,
  putsOutUnshared,
  startForbids,
} from '../support/gate-model.ts'
import { lane, operator, type PolicyTexts, putPolicy, role, underPolicy } from '../support/gated.ts'
import { asPlainError } from '../support/scene.ts'
import { type Random, randomBelow } from '../support/seed.ts'

const test = suite('gates')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 25)
const stepsPerRound = 60
const random = randomBelow('gates')

const roleIds = ['WORKER', 'GOVERNANCE_AGENT', 'ATTORNEY_ADMIN']
const laneIds = ['ONE', 'TWO', 'THREE', 'FOUR']
const cases = ['CASE-17', 'CASE-18']
const tables = ['notes', 'shared_playbooks', 'shared_notes']
const tools = ['read.page', 'export_bundle.create', 'override.enable']
const effects = ['raw_case_text', 'client_identity', 'privileged_notes', 'external_export', 'bypass_audit']
const byDefault = ['cross_case_lookup', 'shared_knowledge_write'] as const
const actors: Actor[] = [
  { actor_id: 'agent-1', actor_type: 'agent' },
  { actor_id: 'ana', actor_type: 'human' },
]

/** Random choices, most of which make what a careful caller would ask for, so that many requests are allowed. */
class Chance {
  readonly #random: Random
  constructor(of: Random) {
    this.#random = of
  }
  of<T>(values: readonly T[]): T {
    return values[this.#random(values.length)] as T
  }
  in(percent: number): boolean {
    return this.#random(100) < percent
  }
  some<T>(values: readonly T[], percent = 50): T[] {
    return values.filter(() => this.in(percent))
  }
}

const chance = new Chance(random)
const actionOfKind = {
  tool_gateway: 'tool_call',
  db_write: 'db_write',
  db_read: 'db_read',
  promotion: 'promotion',
  export: 'export',
} as const

function randomLane(lane_id: string): Lane {
  const isForPromotion = chance.in(40)
  const requires = [
    ...chance.some(['case_id', 'run_id', 'reason'], 30),
    ...(isForPromotion ? ['promotion_ticket_id'] : []),
  ]
  const writes = chance
    .some(tables, 70)
    .flatMap((table) => chance.some(['append', 'upsert'], 70).map((mode) => ({ table, mode })))
  return lane(lane_id, {
    open: chance.some(isForPromotion ? roleIds.slice(1) : roleIds, 80),
    partial_outputs: chance.in(50),
    reads: chance.some(tables),
    tools: chance.some(tools, 70),
    writes,
    requires,
    prohibits: chance.some([...effects, ...byDefault], 15),
    allows: chance.some(byDefault, isForPromotion ? 80 : 25),
  })
}

function randomPolicy(): PolicyTexts {
  const roles = roleIds.map((id) => role(id, chance.some(laneIds, 85), id === 'ATTORNEY_ADMIN' ? 'human' : 'agent'))
  return { lanes: laneIds.map(randomLane), roles }
}

function randomArtifact(): ArtifactRef {
  const mark = () => (chance.in(88) ? false : chance.of([true, null]))
  const case_id = chance.in(25) ? chance.of(cases) : undefined
  return {
    artifact_id: `art-${random(1000)}`,
    artifact_kind: chance.in(94) ? 'note' : chance.of(effects.slice(0, 3)),
    hash_sha256: 'ab'.repeat(32),
    ...(chance.in(93)
      ? { confidentiality: { contains_phi: mark(), contains_pii: mark(), contains_privileged: mark() } }
      : {}),
    ...(case_id === undefined ? {} : { case_id }),
    ...(chance.in(4) ? { scope: 'shared' as const } : {}),
    ...(chance.in(4) ? { storage_locator: 'https://host.example/x' } : {}),
  }
}

const randomArtifacts = () => Array.from({ length: chance.of([0, 1, 1, 1, 2]) }, randomArtifact)

/** A ledger and the model of its gates, side by side. */
class Round {
  readonly #ledger: LocalLedger
  readonly #root: string
  readonly #policies: PolicyTexts[]
  readonly #runs: (ModelRun & { actor: Actor })[] = []
  readonly #workflows = new Map<string, string | undefined>()
  #inForce: PolicyTexts
  denies = 0
  readonly counts: Record<string, number>

  constructor(
    ledger: LocalLedger,
    root: string,
    { counts, policies }: { counts: Record<string, number>; policies: PolicyTexts[] },
  ) {
    this.#ledger = ledger
    this.#root = root
    this.#policies = policies
    this.#inForce = policies[0] as PolicyTexts
    this.counts = counts
  }

  async step(): Promise<void> {
    const open = this.#runs.filter(({ status }) => status === 'created' || status === 'running')
    const run = chance.of(chance.in(95) ? open.slice(-3) : this.#runs)
    if (run === undefined || chance.in(20)) return this.#create()
    if (chance.in(2)) return this.#reload()
    if (run.status === 'created') return chance.in(95) ? this.#start(run) : this.#authorize(run)
    if (run.open.size > 0 && chance.in(60)) return this.#record(run)
    return chance.in(75) ? this.#authorize(run) : chance.in(80) ? this.#end(run) : this.#start(run)
  }

  /** Each deny of the round is in the audit list, once, with its rule. */
  async end(): Promise<void> {
    const { events } = await this.#ledger.audit.list({ action_type: 'authz_decision', outcome: 'deny', limit: 1000 })
    assert.is(events.filter(({ authz }) => authz?.rule_id !== undefined).length, this.denies)
  }

  async #reload(): Promise<void> {
    this.#inForce = chance.of(this.#policies)
    putPolicy(this.#root, this.#inForce)
    await this.#ledger.policy.reload({ actor: operator })
  }

  async #create(): Promise<void> {
    const actor = chance.of(actors)
    const own = this.#runs.filter((other) => other.actor === actor)
    const parent = own.length > 0 && chance.in(25) ? chance.of(own.slice(-3)) : undefined
    const stated = chance.in(75) ? (parent?.case ?? chance.of(cases)) : chance.in(30) ? chance.of(cases) : undefined
    const kind = chance.of([...runKinds, ...Object.values(mediators)])
    const fitting = actor.actor_type === 'human' ? 'ATTORNEY_ADMIN' : chance.of(roleIds.slice(0, 2))
    const role_id = chance.in(96) ? fitting : chance.of([...roleIds, 'GHOST', undefined])
    const granted = this.#inForce.roles.find((own) => own.role_id === role_id)?.privileges.lanes ?? []
    const open = this.#inForce.lanes.filter((own) => own.allowed_callers.roles.includes(role_id ?? ''))
    const mutual = open.map((own) => own.lane_id).filter((id) => granted.includes(id))
    const lane_id = mutual.length > 0 && chance.in(92) ? chance.of(mutual) : chance.of([...laneIds, 'GHOST', undefined])
    const inputs = chance.in(25) ? randomArtifacts() : []
    const workflow_id = chance.in(30) ? chance.of(['wf-1', 'wf-2']) : undefined
    const run = {
      run_id: `run_number_${this.#runs.length}`,
      kind,
      status: 'created' as const,
      lane: lane_id,
      role: role_id,
      actor,
      actorType: actor.actor_type,
      case: stated ?? parent?.case,
      inputs,
      parent,
      policy: undefined,
      open: new Map<string, Action>(),
      shared: new Set<string>(),
    }
    const forbidden = inputsForbid(run, parent?.policy ?? this.#inForce)
    if (parent?.case !== undefined && stated !== undefined && stated !== parent.case)
      forbidden.push('7.1 inherited case')
    const isClaimed = workflow_id !== undefined && this.#workflows.has(workflow_id)
    if (isClaimed && this.#workflows.get(workflow_id) !== run.case) forbidden.push('11 workflow')
    const isOver = parent !== undefined && parent.status !== 'created' && parent.status !== 'running'
    const asked = {
      actor,
      case_id: stated,
      inputs: { artifact_refs: inputs },
      lane_id,
      parent_run_id: parent?.run_id,
      role_id,
    }
    const call = this.#ledger.runs.create({ ...asked, run_id: run.run_id, run_kind: kind, workflow_id })
    if (isOver || isBelowEnded(run)) return this.#refused('create', call, 'RUN_ANCESTOR_ENDED')
    this.#runs.push(run)
    if (forbidden.length === 0 && workflow_id !== undefined && !isClaimed) this.#workflows.set(workflow_id, run.case)
    await this.#judged('create', run, call, forbidden)
  }

  async #start(run: ModelRun & { actor: Actor }): Promise<void> {
    const { lanes, roles } = await this.#ledger.policy.show()
    const pinsAreTrue = chance.in(96)
    const policy_versions = pinsAreTrue
      ? chance.of([undefined, { lanes: lanes.pin, roles: roles.pin }])
      : { lanes: 'ab'.repeat(20), roles: roles.pin }
    const call = this.#ledger.runs.start({ actor: run.actor, run_id: run.run_id, policy_versions })
    if (run.status !== 'created') return this.#refused('start', call, 'INVALID_STATE_TRANSITION')
    if (isBelowEnded(run)) return this.#refused('start', call, 'RUN_ANCESTOR_ENDED')
    if (run.parent?.status === 'created') return this.#refused('start', call, 'INVALID_STATE_TRANSITION')
    const forbidden = startForbids(run, this.#inForce, pinsAreTrue)
    if (await this.#judged('start', run, call, forbidden)) {
      run.status = 'running'
      run.policy = this.#inForce
    }
  }

  #actionOf(run: ModelRun): Action {
    const { lanes } = run.policy ?? this.#inForce
    const own = lanes.find(({ lane_id }) => lane_id === run.lane)
    const fitting = actionOfKind[run.kind as keyof typeof actionOfKind]
    const action_type = fitting !== undefined && chance.in(92) ? fitting : chance.of(privilegedActions)
    const { reads = [], tools: listed = [], writes = [] } = own?.allowed_actions ?? {}
    const targets =
      action_type === 'db_read'
        ? reads.map((name) => ({ name }))
        : action_type === 'db_write' || action_type === 'promotion'
          ? writes.map(({ mode, table }) => ({ name: table, mode }))
          : listed.map((name) => ({ name }))
    const target =
      targets.length > 0 && chance.in(92)
        ? chance.of(targets)
        : { name: chance.of([...tables, ...tools]), mode: 'append' }
    const stated = { case_id: run.case ?? '', run_id: run.run_id, reason: 'asked', promotion_ticket_id: 'PT-1' }
    const scope: Action['scope'] = Object.fromEntries(
      Object.entries(stated).filter(([, value]) => value !== '' && chance.in(96)),
    )
    if (chance.in(3)) scope.case_id = chance.of(cases)
    if (chance.in(3)) scope.run_id = 'run_number_999'
    if (chance.in(3)) scope.destination = 'https://host.example/x'
    if (chance.in(3)) scope.audit = false
    const artifacts = randomArtifacts()
    return {
      action_type,
      ...(artifacts.length === 0 ? {} : { artifacts }),
      ...(chance.in(8) ? { effects: chance.some([...effects, ...byDefault], 25) } : {}),
      lane_id: chance.in(97) ? (run.lane ?? 'ONE') : chance.of(laneIds),
      scope,
      target,
    }
  }

  async #authorize(run: ModelRun & { actor: Actor }): Promise<void> {
    const action = this.#actionOf(run)
    const call = this.#ledger.runs.authorize({ actor: run.actor, run_id: run.run_id, action })
    if (run.status !== 'running') return this.#refused('authorize', call, 'RUN_NOT_ACTIVE')
    if (isBelowEnded(run)) return this.#refused('authorize', call, 'RUN_ANCESTOR_ENDED')
    const forbidden = actionForbids(run, this.#inForce, action)
    const decided = await call
    const answer = decided.decision === 'allow' ? Promise.resolve() : Promise.reject(deny(decided))
    if (await this.#judged('authorize', run, answer, forbidden)) run.open.set(decided.decision_id, action)
  }

  async #record(run: ModelRun & { actor: Actor }): Promise<void> {
    const [decision_id = 'evt_nothing_00', action] = chance.of([...run.open, [undefined, undefined]])
    const outcome = chance.in(80) ? ('success' as const) : ('failure' as const)
    const output_artifacts = randomArtifacts()
    const call = this.#ledger.runs.record({
      actor: run.actor,
      run_id: run.run_id,
      decision_id,
      outcome,
      output_artifacts,
    })
    if (run.status !== 'running') return this.#refused('record', call, 'RUN_NOT_ACTIVE')
    if (action === undefined) return this.#refused('record', call, 'DECISION_NOT_OPEN')
    const isExport = action.action_type === 'export' && outcome === 'success'
    if (isExport) return this.#refused('record', call, 'BUNDLE_NOT_RECORDED')
    const isPartial = outcome === 'failure' && output_artifacts.length > 0
    if (isPartial && !mayRecordPartial(run)) return this.#refused('record', call, 'OUTPUTS_DENIED')
    const isShared =
      action.action_type === 'promotion' ||
      (action.target.name.startsWith('shared_') && action.action_type !== 'db_read')
    if (isShared && outcome === 'success' && output_artifacts.length === 0)
      return this.#refused('record', call, 'INVALID_INPUT')
    const forbidden = outputsForbid(run, output_artifacts, action)
    const isUnshared = forbidden.length === 0 && putsOutUnshared(run, output_artifacts, action)
    if (isUnshared) return this.#refused('record', call, 'PROMOTION_NOT_RECORDED')
    const named = (action.artifacts ?? []).map(({ artifact_id, hash_sha256 }) => `${artifact_id} ${hash_sha256}`)
    const isUnnamed = output_artifacts.some((one) => !named.includes(`${one.artifact_id} ${one.hash_sha256}`))
    if (isShared && isUnnamed && forbidden.length === 0) return this.#refused('record', call, 'OUTPUTS_DENIED')
    if (!(await this.#judged('record', run, call, forbidden))) return
    run.open.delete(decision_id)
    if (isShared && outcome === 'success') for (const { artifact_id } of output_artifacts) run.shared.add(artifact_id)
  }

  async #end(run: ModelRun & { actor: Actor }): Promise<void> {
    const output_artifacts = randomArtifacts()
    const end = { actor: run.actor, run_id: run.run_id, outcome_reason: 'ended', output_artifacts }
    const isComplete = chance.in(60)
    const error = { error_code: 'E1', message: 'broke', retryable: false }
    const call = isComplete ? this.#ledger.runs.complete(end) : this.#ledger.runs.fail({ ...end, error })
    if (run.status !== 'running') return this.#refused('end', call, 'INVALID_STATE_TRANSITION')
    if (isComplete && isBelowEnded(run)) return this.#refused('end', call, 'RUN_ANCESTOR_ENDED')
    if (isComplete && run.open.size > 0) return this.#refused('end', call, 'RUN_HAS_OPEN_ACTION')
    if (isComplete && run.kind === 'export') return this.#refused('end', call, 'BUNDLE_NOT_RECORDED')
    const isPartial = !isComplete && output_artifacts.length > 0
    if (isPartial && !mayRecordPartial(run)) return this.#refused('end', call, 'OUTPUTS_DENIED')
    const forbidden = outputsForbid(run, output_artifacts)
    const isUnpromoted = isComplete && run.kind === 'promotion' && run.shared.size === 0
    const isUnshared = forbidden.length === 0 && (isUnpromoted || putsOutUnshared(run, output_artifacts))
    if (isUnshared) return this.#refused('end', call, 'PROMOTION_NOT_RECORDED')
    if (await this.#judged('end', run, call, forbidden)) run.status = isComplete ? 'completed' : 'failed'
  }

  /** A call that the state of the run refuses, whatever the policy says. */
  async #refused(what: string, call: Promise<unknown>, code: string): Promise<void> {
    const error = await call.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    assert.is(error instanceof LockstepError ? error.code : String(error), code, what)
    this.#count(`${what} refused`)
  }

  /** Whether a call was allowed. It is allowed exactly if the model forbids nothing, and a deny is on record. */
  async #judged(what: string, run: ModelRun, call: Promise<unknown>, forbidden: readonly string[]): Promise<boolean> {
    const error = await call.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    const rules =
      error instanceof LockstepError && error.code === 'RUN_DENIED' ? (error.details.rule_ids as string[]) : []
    if (error !== undefined && rules.length === 0) asPlainError(error)
    const facts = `${what} of a ${run.kind}: the model forbids [${forbidden}], the ledger [${rules}]`
    assert.is(error === undefined, forbidden.length === 0, facts)
    this.#count(`${what} ${error === undefined ? 'allowed' : 'denied'}`)
    if (error === undefined) return true
    for (const sentence of forbidden) this.#count(`sentence ${sentence}`)
    run.status = 'denied'
    this.denies += 1
    const { run_id } = run
    const { denied, status } = await this.#ledger.runs.why({ run_id })
    assert.equal([status, denied?.rule_ids], ['denied', rules])
    const { events } = await this.#ledger.audit.list({ run_id, action_type: 'authz_decision', outcome: 'deny' })
    assert.equal(
      events.flatMap(({ authz }) => authz?.rule_id ?? []),
      [rules[0]],
      facts,
    )
    return false
  }

  #count(key: string): void {
    this.counts[key] = (this.counts[key] ?? 0) + 1
  }
}

/** Whether a run above this one has ended. */
function isBelowEnded({ parent }: ModelRun): boolean {
  if (parent === undefined) return false
  return (parent.status !== 'created' && parent.status !== 'running') || isBelowEnded(parent)
}

function deny({ missing, rule_ids }: { missing: string[]; rule_ids: string[] }): LockstepError {
  return new LockstepError('RUN_DENIED', 'denied', { details: { missing, rule_ids } })
}

test(`nothing is allowed that the contract denies, and each deny is on record with its rule, over ${rounds} ledgers`, async () => {
  const counts: Record<string, number> = {}
  for (let round = 0; round < rounds; round += 1) {
    const policies = [randomPolicy(), randomPolicy()]
    await underPolicy(policies[0] as PolicyTexts, async (ledger, root) => {
      const played = new Round(ledger, root, { counts, policies })
      for (let step = 0; step < stepsPerRound; step += 1) await played.step()
      await played.end()
    })
  }
  console.log(JSON.stringify(counts, Object.keys(counts).sort(), 1))
  // A test whose requests are all denied would show nothing. Denied records are rare: a few in the default rounds.
  for (const what of ['create', 'start', 'authorize', 'record', 'end']) {
    assert.ok((counts[`${what} allowed`] ?? 0) > rounds / 5, `${what}: ${counts[`${what} allowed`]} allowed`)
    assert.ok((counts[`${what} denied`] ?? 0) > rounds / 100, `${what}: ${counts[`${what} denied`]} denied`)
  }
})

test.run()
