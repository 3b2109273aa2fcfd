import { invariant } from '../../errors.ts'
import { isoTime } from '../../kernel/clock.ts'
import { isOperator } from '../../kernel/config.ts'
import { type Context, type Decision, type LoadedRows, type Refusal, refuse } from '../../kernel/decider.ts'
import type { TokenCommand } from './commands.ts'
import type { TokenEvent, TokenEventData } from './events.ts'
import { statusOf, streamOfToken, type TokenState, tokenIn, tokenStream } from './state.ts'

export function reads({ token_id }: TokenCommand): readonly string[] {
  return [streamOfToken(token_id), tokenStream]
}

/**
 * Refusals, in order: TOKEN_DENIED (neither release authority nor operator), recorded. Then for `create` CLOCK_AHEAD
 * (by the time of entries the token would have expired already), and for `revoke` NOT_FOUND. A token that is revoked
 * already is answered with the entry that revoked it. `expire` is never refused: it appends nothing unless the token has
 * expired and no entry says so.
 */
export function decide(command: TokenCommand, context: Context, rows: LoadedRows): Decision<TokenEvent> {
  const stream = streamOfToken(command.token_id)
  const token = tokenIn(rows.get(stream))
  if (command.type === 'token.expire') return { kind: 'append', events: expiry(token, stream, context) }
  const denied = denial(command, context)
  if (denied !== undefined) return denied
  switch (command.type) {
    case 'token.create': {
      invariant(token === undefined, 'a new secret has a new token_id')
      const { actor, expires_in_s, grants, roles, sha256, token_id } = command
      const expires_at = expires_in_s === undefined ? null : isoTime(context.now.wall_ms + expires_in_s * 1000)
      if (expires_at !== null && expires_at <= context.time) return clockAhead(context.time)
      const data = { actor, expires_at, grants, roles, sha256, token_id }
      return { kind: 'append', events: [{ type: 'token.created', stream, data }] }
    }
    case 'token.revoke': {
      const { reason, token_id } = command
      if (token === undefined) return refuse('NOT_FOUND', `there is no token ${token_id}`, { token_id })
      if (token.revoked !== null) return { kind: 'repeat', seq: token.revoked.seq }
      const data: TokenEventData<'token.revoked'> = { ...(reason === undefined ? {} : { reason }), token_id }
      return { kind: 'append', events: [{ type: 'token.revoked', stream, data }] }
    }
  }
}

function expiry(token: TokenState | undefined, stream: string, { now, time }: Context): TokenEvent[] {
  if (token === undefined || token.expires_at === null || token.expired_seq !== undefined) return []
  if (statusOf(token, { time, wallMillis: now.wall_ms }) !== 'expired') return []
  const { expires_at, token_id } = token
  return [{ type: 'token.expired', stream, data: { expires_at, token_id } }]
}

function denial(
  { type }: Exclude<TokenCommand, { type: 'token.expire' }>,
  { actor, config }: Context,
): Refusal | undefined {
  if (isOperator(config, actor.actor_id)) return undefined
  const message = `${actor.actor_id} may not manage tokens: only ${config.release_authority} or an operator may`
  const data = { code: 'TOKEN_DENIED', command: type, message }
  return refuse('TOKEN_DENIED', message, {}, { type: 'token.refused', stream: tokenStream, data })
}

function clockAhead(time: string): Refusal {
  const message = `the time of entries is ${time}, ahead of the wall clock, so the token would have expired already`
  return refuse('CLOCK_AHEAD', message, { time })
}
