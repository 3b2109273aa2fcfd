import type { Answer, History, Input, Operation } from './history.ts'

/** The simplest possible lock. It is asked at known moments, which are whole numbers. */
export interface ReferenceLock {
  held: { lock: string; token: number; began: number; lease_ms: number; holder: string | null; renewals: number } | null
  lastReleased: string | null
  seq: number
  /** Tokens by lock_id, and seqs by request key, of all that was granted and appended. */
  tokens: Record<string, number>
  seqs: Record<string, number>
}

export const unlocked: ReferenceLock = { held: null, lastReleased: null, seq: -1, tokens: {}, seqs: {} }

/** What the lock knows when it decides: the moment, whether the lease counts as over, and the next seq. */
export interface Moment {
  at: number
  isExpired: boolean
  isDead: boolean
  nextSeq: number
}

/** The answer to a command, and the lock after it. */
export function asked(lock: ReferenceLock, input: Input, moment: Moment): { answer: Answer; after: ReferenceLock } {
  const { held, seqs, tokens } = lock
  const { at, isDead, isExpired, nextSeq } = moment
  const answered = (answer: Answer, changes: Partial<ReferenceLock> = {}) => ({
    answer,
    after: { ...lock, ...changes },
  })
  const current_token = held?.token ?? null
  if (input.do === 'append') {
    const before = seqs[input.key]
    if (before !== undefined) return answered({ seq: before, replayed: true })
    if (held?.token !== input.token) return answered({ code: 'STALE_TOKEN', current_token })
    if (isExpired) return answered({ code: 'LEASE_EXPIRED' })
    return answered({ seq: nextSeq, replayed: false }, { seq: nextSeq, seqs: { ...seqs, [input.key]: nextSeq } })
  }
  const token = tokens[input.lock]
  const own = held?.lock === input.lock ? held : null
  if (input.do === 'acquire') {
    if (token !== undefined) return answered({ token, replayed: true, current: own !== null && !isExpired })
    if (held !== null && !isExpired && !isDead) return answered({ code: 'LOCK_CONTENTION', current_token })
    const { holder = null, lease_ms } = input
    return answered(
      { token: nextSeq, replayed: false, current: true },
      {
        held: { lock: input.lock, token: nextSeq, began: at, lease_ms, holder, renewals: 0 },
        lastReleased: held === null ? lock.lastReleased : null,
        seq: nextSeq,
        tokens: { ...tokens, [input.lock]: nextSeq },
      },
    )
  }
  if (input.do === 'renew') {
    if (token === undefined) return answered({ code: 'LOCK_NOT_HELD' })
    if (own === null) return answered({ code: 'STALE_TOKEN', current_token })
    if (isExpired) return answered({ code: 'LEASE_EXPIRED' })
    const renewals = own.renewals + 1
    return answered({ token: own.token, renewals }, { held: { ...own, began: at, renewals } })
  }
  if (own !== null) {
    const answer = { token: own.token, replayed: false, late: isExpired }
    return answered(answer, { held: null, lastReleased: input.lock })
  }
  if (token !== undefined && lock.lastReleased === input.lock) return answered({ token, replayed: true })
  return answered({ code: 'LOCK_NOT_HELD' })
}

/** Whether an answer says all that the reference says. */
function agree(seen: Answer, expected: Answer): boolean {
  if (seen.code !== expected.code) return false
  return Object.entries(expected).every(([fact, value]) => seen[fact as keyof Answer] === value)
}

/**
 * Whether a small history of one lock in whole milliseconds is linearizable, by trying every order, every moment and
 * every token. It shares no code with the checker.
 */
export function isLinearizable({ deaths, operations }: History, slack: number): boolean {
  const ends = operations.flatMap(({ from, to }) => (to === Infinity ? [from] : [from, to]))
  const horizon = Math.max(...ends)
  const dead = new Set<string>()
  const last = (undone: readonly Operation[]) =>
    Math.min(...undone.filter(({ answer }) => answer !== undefined).map(({ to }) => to))

  const isPossible = (lock: ReferenceLock, now: number, undone: readonly Operation[]): boolean => {
    if (undone.every(({ answer }) => answer === undefined)) return true
    const key = JSON.stringify([lock, now, undone.map((operation) => operations.indexOf(operation))])
    if (dead.has(key)) return false
    const latest = last(undone)
    for (const operation of undone) {
      const others = undone.filter((other) => other !== operation)
      for (let at = Math.max(now, operation.from); at <= Math.min(operation.to, latest, horizon); at += 1) {
        for (const next of afterwards(lock, operation, at)) if (isPossible(next, at, others)) return true
      }
    }
    dead.add(key)
    return false
  }

  const afterwards = (lock: ReferenceLock, { answer, input }: Operation, at: number): ReferenceLock[] => {
    const { held } = lock
    const isDead = held?.holder != null && at >= (deaths.get(held.holder) ?? Infinity)
    const passed = at - (held?.began ?? 0)
    const verdicts = [false, true].filter((isExpired) => {
      if (held === null) return !isExpired
      return isExpired ? passed >= held.lease_ms - slack : passed <= held.lease_ms + slack
    })
    const found: ReferenceLock[] = []
    for (const isExpired of verdicts) {
      for (const knowsDeath of isDead ? [false, true] : [false]) {
        for (const nextSeq of seqsFor(input, answer)) {
          const result = asked(lock, input, { at, isExpired, isDead: knowsDeath, nextSeq })
          const isAppended = result.after.tokens !== lock.tokens || result.after.seqs !== lock.seqs
          if (isAppended && nextSeq <= lock.seq) continue
          if (answer === undefined || agree(answer, result.answer)) found.push(result.after)
        }
      }
    }
    return found
  }

  /** The seqs that a new entry may have had: the one in the answer, or any that the history names. */
  const named = operations.flatMap(({ answer, input }) => {
    return [answer?.token, answer?.seq, answer?.current_token, input.do === 'append' ? input.token : undefined]
  })
  const mentioned = [...new Set(named.filter((seq) => typeof seq === 'number'))]
  const seqsFor = (input: Input, answer: Answer | undefined): number[] => {
    const told = input.do === 'append' ? answer?.seq : answer?.token
    if (told !== undefined) return [told]
    // An unanswered command can also have a seq that no answer names.
    return answer === undefined ? [...mentioned, ...mentioned.map((seq) => seq + 0.5), 0.5] : [1e9]
  }

  return isPossible(unlocked, -Infinity, operations)
}
