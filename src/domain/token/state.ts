import type { Row } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { wallTimeOf } from '../../kernel/entry-time.ts'
import type { TokenEventData } from './events.ts'

/** The first word of the streams of tokens. The stream of this name alone has the refusals. */
export const tokenStream = 'token'

/** The stream of one token. */
export const streamOfToken = (tokenId: string) => `${tokenStream}/${tokenId}`

/** The id of the token whose secret has this SHA-256. */
export const tokenIdOf = (sha256: string) => `tok_${sha256.slice(0, 24)}`

/** A token: the facts of its creation, and the end that it may have. */
export interface TokenState extends TokenEventData<'token.created'> {
  /** The wall clock when it was created. */
  created: string
  /** The seq of `token.created`. */
  seq: number
  revoked: { seq: number; time: string } | null
  /** The seq of `token.expired`, if the end of the token was recorded. */
  expired_seq?: number
}

/** Returns the next state; null for the stream of refusals. It applies the event without checking it. */
export function evolve(state: TokenState | null | undefined, entry: Entry): TokenState | null {
  if (entry.type === 'token.created') {
    const data = entry.data as TokenEventData<'token.created'>
    return { ...data, created: wallTimeOf(entry), revoked: null, seq: entry.seq }
  }
  if (state === undefined || state === null) return null
  if (entry.type === 'token.expired') return { ...state, expired_seq: entry.seq }
  if (entry.type === 'token.revoked') return { ...state, revoked: { seq: entry.seq, time: wallTimeOf(entry) } }
  return state
}

/** The state of a token's row; undefined if there is no such token. */
export function tokenIn(row: Row | undefined): TokenState | undefined {
  return (row?.state ?? undefined) as TokenState | undefined
}

/**
 * Whether a token is valid now. An expiry is judged by the later of the wall clock and the time of the last entry,
 * which never goes back, so that setting the clock back does not revive a token. After `clock.reset`, a token with an
 * expiry can have been created in the future. How long it should still last is not known, so it does not count as
 * valid.
 */
export function statusOf(
  { created, expired_seq, expires_at, revoked }: TokenState,
  { time, wallMillis }: { time: string; wallMillis: number },
): 'expired' | 'revoked' | 'valid' {
  if (revoked !== null) return 'revoked'
  if (expired_seq !== undefined) return 'expired'
  if (expires_at === null) return 'valid'
  const atMillis = Math.max(wallMillis, Date.parse(time))
  return Date.parse(created) <= atMillis && atMillis < Date.parse(expires_at) ? 'valid' : 'expired'
}
