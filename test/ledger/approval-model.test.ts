// limit: 300
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ApproveExport } from '../../src/api/shapes/exports.ts'
import type { RunRecord } from '../../src/domain/run/run-record.ts'
import type { LockstepError } from '../../src/errors.ts'
import type { Actor } from '../../src/kernel/ids.ts'
import { type Desk, withDesk } from '../support/approvals.ts'
import { entriesOf } from '../support/entries.ts'
import { governed, scope } from '../support/exports.ts'
import { randomBelow } from '../support/seed.ts'

const test = suite('approval model')
const worlds = Number(process.env.LOCKSTEP_ROUNDS ?? 12)
const steps = 40
const below = randomBelow('approval model')
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)] as T
const mostly = <T>(usual: T, others: readonly T[]): T => (below(12) > 0 ? usual : oneOf(others))

const types = ['attorney_admin', 'compliance', 'court_order'] as const
type Type = (typeof types)[number]
const people: Actor[] = [
  { actor_id: 'ana', actor_type: 'human' },
  { actor_id: 'ben', actor_type: 'human' },
  { actor_id: 'cleo', actor_type: 'human' },
  { actor_id: 'dora', actor_type: 'human', on_behalf_of: 'ana' },
  { actor_id: 'eve', actor_type: 'human', on_behalf_of: 'lawyer-1' },
  { actor_id: 'robot', actor_type: 'agent' },
  { actor_id: 'lawyer-1', actor_type: 'human' },
]
const exporters: Actor[] = people.filter(({ actor_id }) => ['lawyer-1', 'ana', 'cleo'].includes(actor_id))

/** What an export hands out, each member as one of few values. */
interface Asked {
  kind: 'internal_review' | 'other'
  redaction: 'none' | 'names' | 'all'
  select: 'run' | 'case' | 'lock' | 'range'
  size: number
}
const usual: Asked = { kind: 'internal_review', redaction: 'none', select: 'run', size: 5 }
const asked = (): Asked => ({
  kind: mostly(usual.kind, ['other']),
  redaction: mostly(usual.redaction, ['names', 'all']),
  select: mostly(usual.select, ['case', 'lock', 'range']),
  size: mostly(usual.size, [1, 4]),
})
const selections = {
  run: { run_id: 'run_top_1' },
  case: { case_id: 'CASE-17' },
  lock: { lock: 'reports' },
  range: { from: 0, to: 0 },
}
const bundleOf = ({ kind, redaction, select, size }: Asked) => ({
  bundle_kind: kind,
  ...(redaction === 'none' ? {} : { redaction: { redaction_applied: true, redaction_profile_id: redaction } }),
  select: selections[select],
  size,
})

/** An approval as the model knows it. */
interface Approval {
  asked: Asked
  by: Actor
  expiresMillis: number
  id: string
  isUsed: boolean
  type: Type
}

/** The ruling, written again: who may approve what, and which export its approvals allow. */
class Model {
  readonly approvals = new Map<string, Approval>()
  readonly roles: Record<string, string[]> | undefined
  readonly required: readonly Type[]

  constructor(roles: Record<string, string[]> | undefined, required: readonly Type[]) {
    this.roles = roles
    this.required = required
  }

  mayApprove(by: Actor, type: Type): boolean {
    if (by.actor_type !== 'human') return false
    return this.roles === undefined || (this.roles[by.actor_id] ?? []).includes(type.toUpperCase())
  }

  /** The rules that an export breaks, without the ids of approvals. */
  broken(ids: readonly string[], exporter: Actor, wanted: Asked, nowMillis: number): string[] {
    const rules = new Set<string>()
    const found = ids.map((id) => this.approvals.get(id))
    if (found.includes(undefined)) rules.add('known')
    for (const [at, approval] of found.entries()) {
      if (approval === undefined) continue
      if (approval.isUsed) rules.add('unused')
      if (nowMillis >= approval.expiresMillis) rules.add('unexpired')
      if (approval.asked.kind !== wanted.kind) rules.add('bundle_kind')
      if (approval.asked.redaction !== wanted.redaction) rules.add('redaction')
      if (approval.asked.select !== wanted.select) rules.add('select')
      if (approval.asked.size !== wanted.size) rules.add('size')
      if (overlap(approval.by, exporter)) rules.add('not_self')
      for (const [other, second] of found.entries()) {
        if (other !== at && second !== undefined && overlap(approval.by, second.by)) rules.add('distinct')
      }
    }
    for (const type of this.required) if (!found.some((approval) => approval?.type === type)) rules.add(type)
    return [...rules].sort()
  }
}

function overlap(one: Actor, other: Actor): boolean {
  const names = ({ actor_id, on_behalf_of }: Actor) => [actor_id, ...(on_behalf_of === undefined ? [] : [on_behalf_of])]
  return names(one).some((name) => names(other).includes(name))
}

/** One step of a world: somebody approves, or somebody exports. */
async function approveStep(desk: Desk, model: Model, counts: Map<string, number>): Promise<void> {
  const [by, type, what, expires] = [oneOf(people), oneOf(types), asked(), below(4) === 0 ? 1 + below(120) : undefined]
  const input = { actor: by, approval_type: type, expires_in_s: expires, ...bundleOf(what) } as ApproveExport
  const nowMillis = desk.clock.now().wall_ms
  const code = await desk.ledger.exports.approve(input).then(
    ({ approval_id: id }) => {
      const expiresMillis = expires === undefined ? Number.POSITIVE_INFINITY : nowMillis + expires * 1_000
      model.approvals.set(id, { asked: what, by, expiresMillis, id, isUsed: false, type })
      return 'approved'
    },
    (error: LockstepError) => error.code,
  )
  const may = model.mayApprove(by, type)
  assert.is(code, may ? 'approved' : 'APPROVAL_DENIED', JSON.stringify(input))
  if (may) return
  const { data, type: recorded } = (await entriesOf(desk.ledger)).at(-1) ?? {}
  const rule = by.actor_type === 'human' ? `role:${type.toUpperCase()}/actors` : 'approval/human'
  assert.equal([recorded, data?.rule_id], ['approval.refused', rule])
  counts.set(rule, (counts.get(rule) ?? 0) + 1)
}

async function exportStep(desk: Desk, model: Model, counts: Map<string, number>, run_id: string): Promise<void> {
  const { ledger } = desk
  const exporter = oneOf(exporters)
  const wanted = asked()
  const ids = chosen(model, exporter, wanted, desk.clock.now().wall_ms)
  const expected = model.broken(ids, exporter, wanted, desk.clock.now().wall_ms)
  const { lane_id, role_id } = governed
  const of = { actor: exporter, run_id }
  await ledger.runs.create({ ...of, case_id: 'CASE-17', lane_id, role_id, run_kind: 'export' })
  await ledger.runs.start(of)
  const bundle = { approvals: ids, ...bundleOf(wanted) }
  const target = { name: 'export_bundle.create' }
  const action = { action_type: 'export' as const, bundle, lane_id, scope: { ...scope, run_id }, target }
  const { decision, rule_ids } = await ledger.runs.authorize({ ...of, action })
  const rules = decision === 'allow' ? [] : [...new Set(rule_ids.map((rule) => rule.split('/').at(-1) ?? ''))].sort()
  assert.equal(rules, expected, JSON.stringify({ bundle, exporter }))
  assert.is(decision, expected.length === 0 ? 'allow' : 'deny')
  const entries = (await entriesOf(ledger)).filter((entry) => entry.run_id === run_id)
  const decided = entries.find(({ data, type }) => type === 'run.decided' && data.on === 'export')
  assert.equal([decided?.data.decision, decided?.data.rule_ids], [decision, rule_ids])
  const uses = entries.filter(({ type }) => type === 'approval.used').map(({ data }) => data.approval_id)
  assert.equal(uses, decision === 'allow' ? ids : [])
  const { status } = (await ledger.runs.get({ run_id })) as RunRecord
  assert.is(status, decision === 'allow' ? 'running' : 'denied')
  if (decision === 'allow') for (const id of ids) (model.approvals.get(id) as Approval).isUsed = true
  for (const rule of decision === 'allow' ? [`allow ${ids.length > 0 ? 'approved' : 'unapproved'}`] : rules)
    counts.set(rule, (counts.get(rule) ?? 0) + 1)
}

/** Approvals that an exporter names: often those that would do, sometimes any, sometimes one that nobody gave. */
function chosen(model: Model, exporter: Actor, wanted: Asked, nowMillis: number): string[] {
  const all = [...model.approvals.values()]
  if (below(3) === 0)
    return all
      .filter(() => below(all.length) < 2)
      .map(({ id }) => id)
      .slice(0, 4)
  const named: string[] = []
  for (const type of model.required) {
    const fits = all.filter(({ id, type: own }) => {
      return own === type && !model.broken([...named, id], exporter, wanted, nowMillis).some((rule) => !isType(rule))
    })
    const used = all.filter(({ isUsed }) => isUsed)
    const others = [oneOf(used)?.id, oneOf(used)?.id, oneOf(all)?.id, 'apr_0123456789abcdefghijk']
    const pick = below(4) > 0 ? oneOf(fits)?.id : oneOf(others)
    if (pick !== undefined) named.push(pick)
  }
  return named
}

const isType = (rule: string) => (types as readonly string[]).includes(rule)

test('no export is allowed that the model refuses, and each refusal is on record with its rules', async () => {
  const counts = new Map<string, number>()
  for (let world = 0; world < worlds; world += 1) {
    const required = world % 4 === 3 ? [] : types.filter((_, at) => at === world % 4 || below(3) === 0)
    const exporterRoles = {
      ana: ['ATTORNEY_ADMIN', 'COMPLIANCE'],
      cleo: ['ATTORNEY_ADMIN'],
      'lawyer-1': ['ATTORNEY_ADMIN'],
    }
    const actors = { ...exporterRoles, 'agent-1': [], ben: ['COMPLIANCE', 'COURT_ORDER'], dora: ['COURT_ORDER'] }
    const bound = below(2) === 0 ? undefined : actors
    const config = { exports: { approvals_required: required }, ...(bound === undefined ? {} : { actors: bound }) }
    await withDesk(config, async (desk) => {
      const model = new Model(bound, required)
      for (let step = 0; step < steps; step += 1) {
        // Equal refusals are recorded once in ten seconds.
        desk.clock.advance(11_000)
        if (below(2) === 0) await approveStep(desk, model, counts)
        else await exportStep(desk, model, counts, `run_export_${step}`)
      }
    })
  }
  const seen = [...counts].map(([rule, count]) => `${rule} ${count}`).sort()
  console.log(`approval model: ${seen.join(', ')}`)
  for (const rule of [
    'allow approved',
    'allow unapproved',
    'known',
    'unused',
    'unexpired',
    'select',
    'not_self',
    'distinct',
  ]) {
    assert.ok(counts.has(rule), `${rule} never came about`)
  }
})

test.run()
