import { aggregateOf, readsOf, stateReadsOf } from '../domain/aggregates.ts'
import { judgeGuard, stateOfLock } from '../domain/lock/decide.ts'
import { ledgerStream } from '../domain/log/stream.ts'
import { policyStream } from '../domain/policy/state.ts'
import { type Details, LockstepError } from '../errors.ts'
import type { Now } from '../kernel/clock.ts'
import { type Context, type Decision, type Refusal, refuse } from '../kernel/decider.ts'
import type { Key } from '../log/log.ts'
import { notLoaded } from '../views/loaded.ts'
import type { Views } from '../views/views.ts'
import type { ConfigInForce } from './config-in-force.ts'
import { refusedAsForked } from './forked.ts'
import type { Plan } from './plan.ts'
import type { Item, Step } from './submission.ts'
import type { Waiters } from './waiters.ts'

/** What a decision on a command is made from. */
export interface DecisionParts {
  config: ConfigInForce
  /** The facts about the proof that the ledger has two histories, if there is any. */
  forked: () => Details | undefined
  now: Now
  plan: Plan
  views: Views
  waiters: Waiters
}

/**
 * The decision on a command, by its aggregate. Throws `notLoaded` if it read values that are not in memory: it is void
 * then, even where code in between caught what a read threw.
 */
export function decisionOn(item: Item, parts: DecisionParts): Decision {
  const { config, now, plan, views, waiters } = parts
  const { actor, command, expectedSize } = item
  if (expectedSize !== undefined && expectedSize !== plan.size) return sizeMismatch(expectedSize, plan.size)
  const { sealed } = plan
  if (sealed !== undefined && !isForSealed(command)) return sealed
  const place = item.line ?? item.calledFrom
  const waiting: Context['waiting'] = (stream, asked) => waiters.inFrontOf(stream, place, asked)
  const inForce = config.at(plan.reader)
  const context: Context = {
    actor,
    config: inForce.config,
    config_sha256: inForce.sha256,
    guard: brokenGuard(item, parts),
    now,
    stated: [item.correlationId, item.request?.key],
    time: plan.time,
    token_offset: plan.tokenOffset,
    waiting,
  }
  const decision = aggregateOf(command.type).decide(command, context, plan.reader)
  if (views.isMissed) throw notLoaded
  if (decision.kind === 'append' && context.guard !== undefined) {
    throw new LockstepError('INVARIANT_VIOLATED', `${command.type} was accepted although its guard is not current`)
  }
  return refusedAsForked(decision, parts.forked) ?? decision
}

/** A seal is decided as such, and a restore makes another ledger of the entries. */
function isForSealed({ type }: Item['command']): boolean {
  return type === 'ledger.seal' || type === 'ledger.restore'
}

function brokenGuard({ command }: Item, { now, plan }: DecisionParts): Refusal | undefined {
  if (command.guard === undefined) return undefined
  return judgeGuard(command.guard, stateOfLock(plan.reader, command.guard), command.type, now)
}

/**
 * The rows and the derived state that the commands of these steps say they read, and the rows that every batch reads, if
 * not in memory.
 */
export function declaredBy(steps: readonly Step[], views: Views): Key[] {
  const streams = new Set<string>()
  const states = new Set<string>()
  const add = (stream: string) => {
    if (!views.hasRow(stream)) streams.add(stream)
  }
  add(ledgerStream)
  add(policyStream)
  for (const step of steps) {
    if (!('item' in step)) continue
    try {
      for (const stream of readsOf(step.item.command)) add(stream)
      for (const key of stateReadsOf(step.item.command)) states.add(key)
    } catch {
      // A defect. The decision meets it too, and refuses the command.
    }
  }
  return [
    ...[...streams].map((key): Key => ({ view: 'row', key })),
    ...[...states].map((key): Key => ({ view: 'state', key })),
  ]
}

export function isContention(decision: Decision): decision is Refusal {
  return decision.kind === 'refuse' && decision.code === 'LOCK_CONTENTION'
}

function sizeMismatch(expected: number, size: number): Refusal {
  return refuse('SIZE_MISMATCH', `the ledger has ${size} entries, not the expected ${expected}`, {
    expected_size: expected,
    size,
  })
}
