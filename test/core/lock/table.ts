import type { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Code } from '../../../src/errors.ts'
import type { Config } from '../../../src/kernel/config.ts'
import type { Decision } from '../../../src/kernel/decider.ts'
import type { Step } from './steps.ts'
import { clockAt, replayed, World } from './world.ts'

type Facts = Record<string, unknown>

/** What has happened before: commands that were accepted, time that passed, a reboot, people waiting in line. */
export type Given =
  | Step
  | { passes_ms: number; wall_ms?: number }
  | { reboots: string; uptime_ms: number; passes_ms: number }
  | { moves_to_host: string }
  | { waiters: Record<string, number> }
  | { config: Partial<Config> }

/** What comes of it: events with at least these data, an earlier entry again, or a refusal with these details. */
export type Then =
  | { append: readonly { type: string; data?: Facts; lacks?: readonly string[] }[] }
  | { repeat: number }
  | { refuse: Code; details?: Facts; allDetails?: Facts; judged?: Facts; recorded?: Facts | false }

export interface Row {
  title: string
  given?: readonly Given[]
  when: Step
  then: Then
}

/** One test for each row of a table. */
export function tests(test: ReturnType<typeof suite>, table: readonly Row[]): void {
  for (const { title, given = [], when, then } of table) {
    test(title, () => {
      const world = new World()
      for (const step of given) apply(world, step)
      const size = world.entries.length
      const { decision, entries } = world.run(when.command(world), when.actor)
      compare(decision, then)
      // What was decided is replayable, and a refusal changes nothing but its own record.
      assert.equal(replayed(world.entries), world.rows)
      if (decision.kind !== 'append') {
        assert.ok(entries.every(({ type }) => type === 'lock.refused' || type === 'lock.judged'))
        const before = replayed(world.entries.slice(0, size))
        for (const [stream, row] of world.rows) {
          if (before.has(stream) && !('judged' in then)) assert.equal(row.state, before.get(stream)?.state)
        }
      }
    })
  }
}

function apply(world: World, step: Given): void {
  if ('command' in step) {
    const { decision } = world.run(step.command(world), step.actor)
    assert.is(decision.kind, 'append', `what is given did not happen: ${JSON.stringify(decision)}`)
  } else if ('reboots' in step) {
    const lease_clock = clockAt(step.reboots, step.uptime_ms)
    world.now = { ...world.now, lease_clock, wall_ms: world.now.wall_ms + step.passes_ms }
  } else if ('passes_ms' in step) {
    world.pass(step.passes_ms, step.wall_ms)
  } else if ('moves_to_host' in step) {
    const host_id = step.moves_to_host
    world.now = { ...world.now, host_id, lease_clock: clockAt(`boot of ${host_id}`, 77) }
  } else if ('waiters' in step) {
    for (const [stream, count] of Object.entries(step.waiters)) world.waiting.set(stream, count)
  } else {
    world.config = { ...world.config, ...step.config }
  }
}

function compare(decision: Decision, then: Then): void {
  if ('repeat' in then) {
    assert.equal(decision, { kind: 'repeat', seq: then.repeat })
  } else if ('append' in then) {
    assert.is(decision.kind, 'append', JSON.stringify(decision))
    if (decision.kind !== 'append') return
    assert.equal(
      decision.events.map(({ type }) => type),
      then.append.map(({ type }) => type),
    )
    for (const [index, { data = {}, lacks = [] }] of then.append.entries()) {
      const actual = decision.events[index]?.data ?? {}
      assert.equal(pick(actual, data), data)
      for (const member of lacks) assert.not(member in actual, member)
    }
  } else {
    assert.is(decision.kind, 'refuse', JSON.stringify(decision))
    if (decision.kind !== 'refuse') return
    const { allDetails, details = {}, judged, recorded = false, refuse } = then
    assert.is(decision.code, refuse)
    assert.equal(pick(decision.details, details), details)
    if (allDetails !== undefined) assert.equal(decision.details, allDetails)
    if (judged !== undefined) {
      assert.is(decision.record?.type, 'lock.judged')
      assert.equal(pick(decision.record?.data ?? {}, judged), judged)
      return
    }
    assert.is(decision.record === undefined, recorded === false, 'whether the refusal is recorded')
    if (recorded === false) return
    const { data = {}, type } = decision.record ?? {}
    assert.is(type, 'lock.refused')
    const expected = { code: refuse, message: decision.message, ...recorded }
    assert.equal(pick(data, expected), expected)
  }
}

/** The members of a value that are expected; what is missing stays missing. */
function pick(actual: Facts, expected: Facts): Facts {
  return Object.fromEntries(
    Object.keys(expected)
      .filter((key) => key in actual)
      .map((key) => [key, actual[key]]),
  )
}
