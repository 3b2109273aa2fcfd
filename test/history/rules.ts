import type { Input, Operation } from './history.ts'
import type { Effect, When } from './lease-times.ts'

/** A grant that was not ended yet. Its token is unknown if no answer that the caller got has named it so far. */
export interface Held {
  lock: string
  token: number | undefined
  /** The highest seq known before it. */
  after: number
  lease_ms: number
  holder: string | undefined
  renewals: number
}

/** One lock, between two commands. */
export interface State {
  held: Held | null
  /** The grant before it: only a released one may be released again. */
  ended: { lock: string; isReleased: boolean } | null
  /** The highest seq that is known to have been appended. */
  seq: number
  /** The lock_ids that were granted, and the keys of the requests that appended. */
  granted: ReadonlySet<string>
  keys: ReadonlySet<string>
}

export const free: State = { held: null, ended: null, seq: -1, granted: new Set(), keys: new Set() }

/** The lock after its grant was ended by anything but its holder's release. */
export function withoutGrant(state: State): State {
  return state.held === null ? state : { ...state, held: null, ended: { lock: state.held.lock, isReleased: false } }
}

/** One way in which a command can have had its answer. */
export interface Step {
  state: State
  when: When
  effect: Effect
}

/** Which token each lock_id and which seq each key has, wherever in the history an answer says so. */
export interface Known {
  tokens: ReadonlyMap<string, number>
  seqs: ReadonlyMap<string, number>
}

export function knownFrom(operations: readonly Operation[]): Known {
  const tokens = new Map<string, number>()
  const seqs = new Map<string, number>()
  for (const { answer, input } of operations) {
    if (answer === undefined || answer.code !== undefined) continue
    if (input.do === 'append') seqs.set(input.key, answer.seq ?? -1)
    else tokens.set(input.lock, answer.token ?? -1)
  }
  return { tokens, seqs }
}

type Ask<Do extends Input['do']> = Operation & { input: Extract<Input, { do: Do }> }

/**
 * Every way in which a command, asked in this state, can have had its answer, by the rulings on locks; none if the
 * answer is wrong whatever the time. A command without an answer is taken to have changed the lock: one that changed
 * nothing is explained by not having happened.
 */
export function stepsOf(state: State, operation: Operation, known: Known): Step[] {
  if (operation.answer?.code === 'LEDGER_UNAVAILABLE') return [{ state, when: 'any', effect: 'keeps' }]
  switch (operation.input.do) {
    case 'acquire':
      return acquires(state, operation as Ask<'acquire'>, known)
    case 'renew':
      return renews(state, operation as Ask<'renew'>, known)
    case 'release':
      return releases(state, operation as Ask<'release'>, known)
    case 'append':
      return appends(state, operation as Ask<'append'>, known)
  }
}

/**
 * A lock_id is granted once; repeated requests get that grant again. A lock that is held is contention while its lease
 * lasts; only an expired lease or a dead holder gives way. A token is higher than every seq before it.
 */
function acquires(state: State, { answer, input }: Ask<'acquire'>, known: Known): Step[] {
  const { granted, held } = state
  const { lock } = input
  if (answer?.code !== undefined) {
    if (answer.code !== 'LOCK_CONTENTION' || granted.has(lock) || held === null) return []
    return asReported(state, answer.current_token, known, 'current')
  }
  if (answer?.replayed) {
    if (!granted.has(lock) || known.tokens.get(lock) !== answer.token) return []
    const isHeld = held?.lock === lock
    if (answer.current) return isHeld ? [{ state, when: 'current', effect: 'keeps' }] : []
    return [{ state, when: isHeld ? 'expired' : 'any', effect: 'keeps' }]
  }
  if (granted.has(lock) || answer?.current === false) return []
  const token = known.tokens.get(lock)
  if (token !== undefined && (token <= state.seq || (answer !== undefined && answer.token !== token))) return []
  const { holder, lease_ms } = input
  const next: State = {
    ...withoutGrant(state),
    held: { lock, token, after: state.seq, lease_ms, holder, renewals: 0 },
    seq: token ?? state.seq,
    granted: new Set([...granted, lock]),
  }
  if (held === null) return [{ state: next, when: 'any', effect: 'begins' }]
  const ways: When[] = held.holder === undefined ? ['expired'] : ['expired', 'dead']
  return ways.map((when) => ({ state: next, when, effect: 'begins' }))
}

/** Only a current grant is renewed; an expired one is never brought back. */
function renews(state: State, { answer, input }: Ask<'renew'>, known: Known): Step[] {
  const { granted, held } = state
  const own = held?.lock === input.lock ? held : undefined
  switch (answer?.code) {
    case undefined: {
      if (own === undefined) return []
      if (answer !== undefined && (answer.token !== own.token || answer.renewals !== own.renewals + 1)) return []
      const renewed = { ...own, renewals: own.renewals + 1 }
      return [{ state: { ...state, held: renewed }, when: 'current', effect: 'begins' }]
    }
    case 'LOCK_NOT_HELD':
      return granted.has(input.lock) ? [] : [{ state, when: 'any', effect: 'keeps' }]
    case 'STALE_TOKEN':
      if (!granted.has(input.lock) || own !== undefined) return []
      return asReported(state, answer?.current_token, known, 'any')
    case 'LEASE_EXPIRED':
      return own === undefined ? [] : [{ state, when: 'expired', effect: 'keeps' }]
    default:
      return []
  }
}

/** An expired grant that was not replaced can still be released, late. The last release can be repeated. */
function releases(state: State, { answer, input }: Ask<'release'>, known: Known): Step[] {
  const { ended, held } = state
  const own = held?.lock === input.lock ? held : undefined
  const isReleased = own === undefined && ended?.lock === input.lock && ended.isReleased
  if (answer?.code !== undefined) {
    if (answer.code !== 'LOCK_NOT_HELD' || own !== undefined || isReleased) return []
    return [{ state, when: 'any', effect: 'keeps' }]
  }
  if (answer !== undefined && answer.token !== known.tokens.get(input.lock)) return []
  if (answer?.replayed) return isReleased ? [{ state, when: 'any', effect: 'keeps' }] : []
  if (own === undefined) return []
  const next: State = { ...state, held: null, ended: { lock: input.lock, isReleased: true } }
  const when = answer === undefined ? 'any' : answer.late ? 'expired' : 'current'
  return [{ state: next, when, effect: 'ends' }]
}

/** A guarded append succeeds only under the current token, and once for each key. */
function appends(state: State, { answer, input }: Ask<'append'>, known: Known): Step[] {
  const { held, keys } = state
  const { key, token } = input
  if (answer?.replayed && answer.code === undefined) {
    return keys.has(key) && known.seqs.get(key) === answer.seq ? [{ state, when: 'any', effect: 'keeps' }] : []
  }
  if (keys.has(key)) return []
  if (answer?.code === 'STALE_TOKEN') {
    if (held?.token === token || answer.current_token === token) return []
    return asReported(state, answer.current_token, known, 'any')
  }
  if (answer?.code === 'LEASE_EXPIRED') return asReported(state, token, known, 'expired')
  const guarded = withToken(state, token, known)
  if (guarded === undefined || answer?.code !== undefined) return []
  const seq = known.seqs.get(key)
  if (seq !== undefined && (seq <= guarded.seq || (answer !== undefined && answer.seq !== seq))) return []
  const next: State = { ...guarded, seq: seq ?? guarded.seq, keys: new Set([...keys, key]) }
  return [{ state: next, when: 'current', effect: 'keeps' }]
}

/** A refusal that names the current token, or null for a free lock. */
function asReported(state: State, said: number | null | undefined, known: Known, when: When): Step[] {
  const told = said === null ? (state.held === null ? state : undefined) : withToken(state, said, known)
  return told === undefined ? [] : [{ state: told, when, effect: 'keeps' }]
}

/** The state, if this is the token of the current grant. If the token was unknown, it is known from here on. */
function withToken(state: State, token: number | undefined, known: Known): State | undefined {
  const { held } = state
  if (held === null || token === undefined) return undefined
  if (held.token !== undefined) return held.token === token ? state : undefined
  if (token <= state.seq || [...known.tokens.values()].includes(token)) return undefined
  return { ...state, held: { ...held, token }, seq: token }
}
