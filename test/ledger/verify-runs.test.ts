import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { RunVerification } from '../../src/verify/verify-runs.ts'
import { dictation, RunWorld } from '../core/run/world.ts'

const test = suite('verify: the events of runs')
const run_id = 'run_tool1'

/** A run that was allowed twice, recorded once, and then denied. */
function history(): Entry[] {
  const world = new RunWorld()
  world.startedTool()
  const allow = () => world.run('run.authorize', { run_id, action: dictation }).entries[0]?.event_id ?? ''
  world.run('run.record', { run_id, decision_id: allow(), outcome: 'success' })
  world.run('run.heartbeat', { run_id })
  allow()
  world.run('run.authorize', { run_id, action: { ...dictation, scope: {} } })
  world.run('run.complete', { run_id, outcome_reason: 'done', release_lock: false })
  world.run('run.complete', { run_id: 'run_top_1', outcome_reason: 'done', release_lock: false })
  return world.entries
}

function verify(entries: readonly Entry[]): void {
  const verification = new RunVerification()
  for (const entry of entries) verification.entry(entry)
  verification.end({ size: entries.length })
}

/** The entries without one, as if it had never been: every seq and pointer behind it moves up. */
function without(entries: readonly Entry[], at: number): Entry[] {
  const gone = entries[at]
  const moved = (seq: number | null | undefined) => {
    if (seq === null || seq === undefined) return seq ?? null
    return seq > at ? seq - 1 : seq === at ? (gone?.prev.run ?? null) : seq
  }
  return entries
    .filter((_, seq) => seq !== at)
    .map((entry) => ({
      ...entry,
      seq: moved(entry.seq) ?? 0,
      prev: entry.prev.run === undefined ? entry.prev : { ...entry.prev, run: moved(entry.prev.run) },
    }))
}

function problemOf(entries: readonly Entry[]): string {
  try {
    verify(entries)
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    assert.is(error.code, 'VERIFY_FAILED')
    assert.is(error.details.check, 'runs')
    return error.message
  }
  return 'verified'
}

test('whatever the deciders append is verified', () => verify(history()))

test('a history that lacks any one event but a heartbeat, a refusal or the last is not', () => {
  const entries = history()
  const free = ['run.renewed', 'run.refused', 'policy.loaded']
  for (const [at, { type }] of entries.entries()) {
    const isLast = at === entries.length - 1
    assert.is(problemOf(without(entries, at)) === 'verified', free.includes(type) || isLast, `${at} ${type}`)
  }
})

test('a decision that no move follows is not, at the end of the log either', () => {
  const entries = history()
  const denied = entries.findIndex(({ type }) => type === 'run.denied')
  assert.match(problemOf(entries.slice(0, denied)), 'is missing after the last entry')
})

for (const [title, change, message] of [
  ['another case', { case_id: 'CASE-18' }, 'names another case, lane or parent'],
  ['another root', { root_run_id: 'run_top_9' }, 'names another case, lane or parent'],
  ['other pins', { policy_versions: { lanes: '2'.repeat(40), roles: '2'.repeat(40) } }, 'has other policy pins'],
  ['another entry before it', { prev: { run: 1, stream: 1 } }, 'names 1 as the previous entry'],
  ['no run', { run_id: undefined }, 'has no run_id'],
] as const) {
  test(`an entry of a run with ${title} is not`, () => {
    const entries = history()
    const at = entries.findIndex(({ type }) => type === 'run.renewed')
    const changed = entries.map((entry, seq) => (seq === at ? ({ ...entry, ...change } as Entry) : entry))
    assert.match(problemOf(changed), message)
  })
}

test('an end without a reason, a second end, an event after it and an action recorded twice are not', () => {
  const entries = history()
  const at = entries.findIndex(({ type }) => type === 'run.denied')
  const denied = entries[at] as Entry
  const unsaid = entries.map((entry) =>
    entry === denied ? { ...entry, data: { ...entry.data, outcome_reason: ' ' } } : entry,
  )
  assert.match(problemOf(unsaid), 'without a reason')
  const again = {
    ...denied,
    data: { ...denied.data, reason: null },
    seq: entries.length,
    prev: { run: entries.findLast(({ run_id: id }) => id === run_id)?.seq ?? 0, stream: 0 },
  }
  assert.match(problemOf([...entries, again]), 'moves a run that is denied to denied')
  assert.match(problemOf([...entries, { ...again, type: 'audit.recorded' }]), 'belongs to a run that is denied')
  const acted = entries.find(({ type }) => type === 'run.acted') as Entry
  const [before, after] = [entries.slice(0, acted.seq + 1), acted.seq]
  assert.match(
    problemOf([...before, { ...acted, seq: after + 1, prev: { run: after, stream: after } }]),
    'not an open allow',
  )
})

test.run()
