import { type History, type Operation, seqOf } from './history.ts'
import { atFirst, includes, type Times, timesAfter } from './lease-times.ts'
import { free, type Held, type Known, knownFrom, type State, stepsOf, withoutGrant } from './rules.ts'

/** A command whose answer no order of the commands explains, and what was known before it. */
export interface Violation {
  what: string
  operation: Operation
  /** The commands of the same lock that were under way. */
  pending: Operation[]
  /** What the lock can have been before them. */
  before: unknown[]
}

/** How far a judgement of a lease may be off: clocks are recorded in whole milliseconds, and uptimes in hundredths. */
const slackMillis = 50
/** The most states at one moment. A history with more has too many commands at once to be checked. */
const configsMax = 200_000

/**
 * What is wrong with a history: answers that no order of the commands of a lock explains, in which each command takes
 * effect at one moment between call and answer (linearizability), and seqs that go back or repeat. An unanswered
 * command may have happened. A lock can be checked by itself, because a history is linearizable if it is for each name.
 */
export function violationsIn(history: History, slack = slackMillis): Violation[] {
  const names = new Map<string, Operation[]>()
  for (const operation of history.operations) {
    const own = names.get(operation.name)
    if (own === undefined) names.set(operation.name, [operation])
    else own.push(operation)
  }
  const found = [...names.values()].map((operations) => new Search({ ...history, operations }, slack).violation())
  return [...found.filter((violation) => violation !== undefined), ...seqsOutOfOrder(history.operations)]
}

/** Commands of any lock with a seq that is not above all seqs answered before the command was sent. */
function seqsOutOfOrder(operations: readonly Operation[]): Violation[] {
  const numbered = operations.flatMap((operation) => {
    const seq = seqOf(operation)
    return seq === undefined ? [] : [{ operation, seq }]
  })
  const answered = numbered.toSorted((left, right) => left.operation.to - right.operation.to)
  const seen = new Set<number>()
  const violations: Violation[] = []
  let highest = -1
  let next = 0
  for (const { operation, seq } of numbered.toSorted((left, right) => left.operation.from - right.operation.from)) {
    for (let before = answered[next]; before && before.operation.to < operation.from; before = answered[next]) {
      highest = Math.max(highest, before.seq)
      next += 1
    }
    const what = seen.has(seq) ? `seq ${seq} was answered twice` : `seq ${seq} came after seq ${highest}`
    if (seen.has(seq) || seq <= highest) violations.push({ what, operation, pending: [], before: [] })
    seen.add(seq)
  }
  return violations
}

/** One way in which all commands that were answered so far can have happened. */
interface Config {
  state: State
  times: Times
  /** Commands that took effect and whose answer is yet to come. */
  done: ReadonlySet<Operation>
}

/**
 * Wing and Gong's search with Lowe's two improvements: a command takes effect only when an answer demands it (just-in-
 * time linearization), and a state that was reached before is not searched again (memoisation). All ways are followed
 * side by side, so the first answer without any way left is the violation.
 */
class Search {
  readonly #operations: readonly Operation[]
  readonly #deaths: ReadonlyMap<string, number>
  readonly #isExtended: boolean
  readonly #isSwept: boolean
  readonly #known: Known
  readonly #slack: number
  #configs: Config[] = [{ state: free, times: atFirst, done: new Set() }]
  #pending: Operation[] = []

  constructor({ deaths, isExtended = false, isSwept = false, operations }: History, slack: number) {
    this.#isExtended = isExtended
    this.#deaths = deaths
    this.#isSwept = isSwept
    this.#known = knownFrom(operations)
    this.#operations = operations.filter((operation) => isObservable(operation, this.#known))
    this.#slack = slack
  }

  violation(): Violation | undefined {
    const calls = this.#operations.toSorted((left, right) => left.from - right.from)
    const ends = this.#operations.filter(({ to }) => to < Infinity).toSorted((left, right) => left.to - right.to)
    let called = 0
    for (const operation of ends) {
      for (let call = calls[called]; call !== undefined && call.from <= operation.to; call = calls[called]) {
        this.#pending.push(call)
        called += 1
      }
      const before = this.#configs
      const after = this.#tookEffect(operation)
      // After this moment an unanswered command can no longer happen.
      if (operation.answer === undefined) for (const config of before) after.add(config)
      this.#configs = after.configs.map((config) => ({ ...config, done: without(config.done, operation) }))
      const pending = this.#pending
      this.#pending = pending.filter((other) => other !== operation)
      if (this.#configs.length > 0) continue
      const what = 'no order of the commands explains this answer'
      return { what, operation, pending, before: before.slice(0, 5).map(readable) }
    }
    return undefined
  }

  /** All ways in which a command can have taken effect by now: earlier, or now, after any other pending commands. */
  #tookEffect(operation: Operation): Memo {
    const after = new Memo([])
    const reached = new Memo(this.#configs)
    const open = [...this.#configs]
    for (let config = open.pop(); config !== undefined; config = open.pop()) {
      if (config.done.has(operation)) {
        after.add(config)
        continue
      }
      for (const next of this.#pending) {
        if (config.done.has(next)) continue
        for (const reachedNow of this.#nextOf(config, next)) {
          if (next === operation) after.add(reachedNow)
          else if (reached.add(reachedNow)) open.push(reachedNow)
        }
      }
      if (reached.size > configsMax) throw new Error(`the history of ${operation.name} has too many possible states`)
    }
    return after
  }

  #nextOf({ done, state, times }: Config, operation: Operation): Config[] {
    const lease = this.#leaseOf(state.held)
    const steps = stepsOf(state, operation, this.#known)
    if (this.#isSwept) {
      // The service recovered the lock before this command, which therefore found it free.
      for (const step of state.held === null ? [] : stepsOf(withoutGrant(state), operation, this.#known)) {
        const effect = step.effect === 'keeps' ? 'ends' : step.effect
        steps.push({ ...step, effect, when: 'expired' })
      }
    }
    return steps.flatMap((step) => {
      const after = timesAfter(times, operation, { ...step, lease })
      return after === undefined ? [] : [{ state: step.state, times: after, done: new Set([...done, operation]) }]
    })
  }

  #leaseOf(held: Held | null) {
    const died = held?.holder === undefined ? undefined : this.#deaths.get(held.holder)
    const lease_ms = held?.lease_ms ?? 0
    return { lease_ms, slack_ms: this.#slack, died: died ?? Infinity, isExtended: this.#isExtended }
  }
}

/** Configs, without those that allow no more than another with the same state. */
class Memo {
  readonly #timesOf = new Map<string, Times[]>()
  readonly configs: Config[] = []
  size = 0

  constructor(configs: readonly Config[]) {
    for (const config of configs) this.add(config)
  }

  add(config: Config): boolean {
    const key = keyOf(config)
    const reached = this.#timesOf.get(key) ?? []
    if (reached.some((times) => includes(times, config.times))) return false
    this.#timesOf.set(key, [...reached, config.times])
    this.configs.push(config)
    this.size += 1
    return true
  }
}

/** An append without an answer changes nothing that anybody sees, unless a later request with its key was answered. */
function isObservable({ answer, input }: Operation, { seqs }: Known): boolean {
  return answer !== undefined || input.do !== 'append' || seqs.has(input.key)
}

function without(done: ReadonlySet<Operation>, operation: Operation): ReadonlySet<Operation> {
  if (!done.has(operation)) return done
  return new Set([...done].filter((other) => other !== operation))
}

const numbers = new WeakMap<Operation, number>()
let numbered = 0

function numberOf(operation: Operation): number {
  const known = numbers.get(operation)
  if (known !== undefined) return known
  numbered += 1
  numbers.set(operation, numbered)
  return numbered
}

function keyOf({ done, state }: Config): string {
  const { ended, granted, held, keys, seq } = state
  const sets = [[...granted].sort(), [...keys].sort(), [...done].map(numberOf).sort()]
  return JSON.stringify([held, ended, seq, ...sets])
}

function readable({ state, times }: Config): unknown {
  const { ended, held, seq } = state
  return { held, ended, seq, ...times }
}
