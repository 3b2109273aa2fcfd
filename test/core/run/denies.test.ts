import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Action } from '../../../src/domain/policy/action.ts'
import type { Entry } from '../../../src/kernel/entry.ts'
import { laneTable, roleTable } from '../../support/policy-tables.ts'
import { actionsOf, questionOf } from '../questions.ts'
import { RunWorld } from './world.ts'

const test = suite('a decision on each action of each lane, for each role')
const run_id = 'run_0001'
const actorOf = (role: keyof typeof roleTable) => ({ actor_id: 'someone', actor_type: roleTable[role] })

/** A run in which an action is mediated; started, if role and lane grant each other. */
function worldOf(action: Action, role: keyof typeof roleTable): { world: RunWorld; entries: Entry[] } {
  const world = new RunWorld()
  const { run_kind } = questionOf(action, role).run
  const actor = actorOf(role)
  world.create(run_id, { case_id: 'CASE-17', lane_id: action.lane_id, role_id: role, run_kind }, actor)
  return { world, entries: world.run('run.start', { run_id }, actor).entries }
}

const typesOf = (entries: readonly Entry[]) => entries.map(({ type }) => type)

/** What is wrong with an action: what its lane requires and is not stated, another target, lane, kind, case or run. */
function faultsOf(action: Action): [what: string, action: Action][] {
  const without = (key: string) => Object.fromEntries(Object.entries(action.scope).filter(([name]) => name !== key))
  const other = action.action_type === 'tool_call' ? 'db_write' : 'tool_call'
  return [
    ...Object.keys(action.scope).map((key): [string, Action] => [`without ${key}`, { ...action, scope: without(key) }]),
    ['on another target', { ...action, target: { ...action.target, name: 'nothing.of.it' } }],
    ['on the audit ledger', { ...action, target: { ...action.target, name: 'audit_ledger' } }],
    ['in another lane', { ...action, lane_id: 'NO_LANE' }],
    ['as another action', { ...action, action_type: other }],
    ['on another case', { ...action, scope: { ...action.scope, case_id: 'CASE-99' } }],
    ['of another run', { ...action, scope: { ...action.scope, run_id: 'run_9999' } }],
    ['without its audit', { ...action, scope: { ...action.scope, audit: false } }],
  ]
}

for (const row of laneTable) {
  for (const role of Object.keys(roleTable) as (keyof typeof roleTable)[]) {
    test(`${row.lane}, ${role}`, () => {
      for (const action of actionsOf(row)) {
        const { entries, world } = worldOf(action, role)
        if (!row.roles.includes(role)) {
          assert.equal(typesOf(entries), ['run.decided', 'run.denied'])
          assert.is(world.stateOf(run_id).status, 'denied')
          continue
        }
        assert.equal(typesOf(entries), ['run.decided', 'run.started'])
        const allowed = world.run('run.authorize', { run_id, action }, actorOf(role))
        assert.equal(typesOf(allowed.entries), ['run.decided'])
        assert.is(allowed.entries[0]?.data.decision, 'allow')
        for (const [what, faulty] of faultsOf(action)) denies(`${action.target.name} ${what}`, role, { action, faulty })
      }
    })
  }
}

/** Decision and move in one append; of the allow before only its owed event, and nothing of the action itself. */
function denies(
  what: string,
  role: keyof typeof roleTable,
  { action, faulty }: { action: Action; faulty: Action },
): void {
  const { world } = worldOf(action, role)
  const { decision, entries } = world.run('run.authorize', { run_id, action: faulty }, actorOf(role))
  if (entries[0]?.data.decision === 'allow') {
    // Only a lane that prohibits doing without its audit minds the last one.
    assert.ok(what.endsWith('without its audit'), `${what} was allowed`)
    return
  }
  assert.is(decision.kind, 'append', what)
  assert.equal(typesOf(entries), ['run.decided', 'run.denied'], what)
  assert.is.not(entries[0]?.data.reason, null, what)
  const { open, outputs, status } = world.stateOf(run_id)
  assert.equal([status, open, outputs], ['denied', [], []], what)
  const after = world.run('run.authorize', { run_id, action }, actorOf(role))
  assert.is(after.decision.kind === 'refuse' && after.decision.code, 'RUN_NOT_ACTIVE', what)
}

test.run()
