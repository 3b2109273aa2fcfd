import { below, oneOf } from '../../fixtures/random.ts'
import type { Code } from '../../src/errors.ts'
import type { Answer, History, Input, Operation } from './history.ts'
import { asked, type ReferenceLock, unlocked } from './reference.ts'

type Random = () => number

/** A caller of a generated history: what it was granted last, and when it is free to ask again. */
interface Caller {
  process: string
  lock: string
  token: number
  key: string
  free: number
}

/**
 * A history of a correct lock: a few processes ask at random, each command takes effect somewhere between call and
 * answer, leases run out, holders die and answers are lost.
 */
export function correctHistory(count: number, random: Random, slack: number): History {
  const deaths = new Map<string, number>()
  const callers = Array.from({ length: 3 }, (_, index): Caller => {
    return { process: `p${index}`, lock: `l${index}`, token: 0, key: `k${index}`, free: below(4, random) }
  })
  const planned = Array.from({ length: count }, () => plan(oneOf(callers, random), random))
  planned.sort((left, right) => left.at - right.at)
  if (random() < 0.4) deaths.set('p0', planned[below(count, random)]?.at ?? 0)
  let lock: ReferenceLock = unlocked
  let seq = 0
  const operations: Operation[] = []
  for (const { at, caller, from, ghost, lost, to, want } of planned) {
    if ((deaths.get(caller.process) ?? Infinity) < from) continue
    const input = inputOf(want, caller)
    const isOver = (deaths.get(lock.held?.holder ?? '') ?? Infinity) <= at
    const late = at - (lock.held?.began ?? 0) - (lock.held?.lease_ms ?? 0)
    const isExpired = lock.held !== null && (Math.abs(late) <= slack ? random() < 0.5 : late > 0)
    seq += 1 + below(2, random)
    const facts = { at, isExpired, isDead: isOver && random() < 0.7, nextSeq: seq }
    const { after, answer } = asked(lock, input, facts)
    const isLost = lost || (deaths.get(caller.process) ?? Infinity) < to
    const operation = { name: 'n', process: caller.process, from, to: isLost && random() < 0.5 ? Infinity : to, input }
    operations.push(isLost ? operation : { ...operation, answer })
    if (isLost && ghost) continue
    lock = after
    if (!isLost && answer.token !== undefined) caller.token = answer.token
  }
  return { operations, deaths }
}

function plan(caller: Caller, random: Random) {
  const from = caller.free + below(3, random)
  const at = from + below(4, random)
  const to = at + below(4, random)
  caller.free = to + 1
  const want = oneOf(
    ['acquire', 'acquire', 'acquire again', 'append', 'append', 'append again', 'renew', 'release'],
    random,
  )
  return { at, caller, from, ghost: random() < 0.5, lost: random() < 0.2, to, want }
}

let fresh = 0

function inputOf(want: string, caller: Caller): Input {
  fresh += 1
  if (want === 'acquire') caller.lock = `l${fresh}`
  if (want === 'append') caller.key = `k${fresh}`
  const { key, lock, process, token } = caller
  if (want.startsWith('acquire')) {
    return { do: 'acquire', lock, lease_ms: 6, ...(process === 'p0' ? { holder: process } : {}) }
  }
  if (want.startsWith('append')) return { do: 'append', token, key }
  return { do: want === 'renew' ? 'renew' : 'release', lock }
}

const codes: readonly Code[] = ['LOCK_CONTENTION', 'STALE_TOKEN', 'LEASE_EXPIRED', 'LOCK_NOT_HELD']

/** The same history with one fact changed, which often makes it wrong. */
export function mutated(history: History, random: Random): History {
  const operations = history.operations.map((operation) => ({ ...operation }))
  const answered = operations.filter(({ answer }) => answer !== undefined)
  if (answered.length === 0) return history
  const operation = oneOf(answered, random)
  const alike = answered.filter(({ input }) => input.do === operation.input.do)
  const other = oneOf(alike, random)
  const answer: Answer = { ...operation.answer }
  const change = below(7, random)
  if (change === 0) [operation.answer, other.answer] = [other.answer ?? {}, answer]
  else if (change === 1) operation.answer = { ...success(operation.input, random), ...answer, ...noCode(answer) }
  else if (change === 2) operation.answer = { code: oneOf(codes, random), current_token: below(12, random) }
  else if (change === 3) moved(operation, below(21, random) - 10)
  else if (change === 4) operation.answer = { ...answer, ...shifted(answer, below(7, random) - 3) }
  else if (change === 5) operation.answer = { ...answer, ...turned(answer) }
  else operations.splice(operations.indexOf(operation), 1)
  return { ...history, operations }
}

function moved(operation: Operation, by: number): void {
  operation.from += by
  operation.to += by
}

function noCode({ code: _, ...answer }: Answer): Answer & { code?: never } {
  return answer as Answer & { code?: never }
}

function success(input: Input, random: Random): Answer {
  const number = below(14, random)
  if (input.do === 'append') return { seq: number, replayed: random() < 0.3 }
  if (input.do === 'renew') return { token: number, renewals: 1 }
  if (input.do === 'release') return { token: number, late: random() < 0.5, replayed: random() < 0.3 }
  return { token: number, current: true, replayed: random() < 0.3 }
}

/** Another token, seq or count. */
function shifted(answer: Answer, by: number): Answer {
  const { current_token, renewals, seq, token } = answer
  return {
    ...(token === undefined ? {} : { token: token + by }),
    ...(seq === undefined ? {} : { seq: seq + by }),
    ...(renewals === undefined ? {} : { renewals: renewals + by }),
    ...(typeof current_token === 'number' ? { current_token: current_token + by } : {}),
  }
}

/** The opposite of each claim. */
function turned({ current, late, replayed }: Answer): Answer {
  return {
    ...(current === undefined ? {} : { current: !current }),
    ...(late === undefined ? {} : { late: !late }),
    ...(replayed === undefined ? {} : { replayed: !replayed }),
  }
}
