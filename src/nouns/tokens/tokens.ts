import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { z } from 'zod'
import type { TokenGrant } from '../../api/operation.ts'
import type * as shapes from '../../api/shapes/tokens.ts'
import type { TokensApi } from '../../api/tokens.ts'
import type { TokenEventData } from '../../domain/token/events.ts'
import { statusOf, streamOfToken, type TokenState, tokenIdOf, tokenIn, tokenStream } from '../../domain/token/state.ts'
import { invariant } from '../../errors.ts'
import { wallTimeOf } from '../../kernel/entry-time.ts'
import type { Actor } from '../../kernel/ids.ts'
import { type Core, sha256Hex, submit } from '../../writer/core.ts'
import type { Handlers } from '../served.ts'

type Given<Schema extends z.ZodType> = z.output<Schema>

/** Whom a valid token names, and what it allows. */
export interface Authenticated {
  actor: Actor
  grants: ReadonlySet<TokenGrant>
  /** The only values of `role_id` that the bearer may state. */
  roles: ReadonlySet<string>
  token_id: string
}

/** Creates, lists and revokes the tokens of callers, and checks them. */
export class Tokens implements Handlers<TokensApi> {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  async create(input: Given<typeof shapes.create>): Promise<shapes.CreatedToken> {
    const { actor, idempotency_key, token_actor, ...asked } = input
    const secret = `lst_${randomBytes(secretBytes).toString('base64url')}`
    const sha256 = sha256Hex(secret)
    const command = { ...asked, type: 'token.create' as const, actor: token_actor, sha256, token_id: tokenIdOf(sha256) }
    // The request's content excludes the secret, because each retry generates a new one.
    const content = { ...asked, command: command.type, expires_in_s: asked.expires_in_s ?? null, token_actor }
    const request = idempotency_key === undefined ? undefined : { key: idempotency_key, content }
    const { entries, replayed } = await submit(this.#core, command, { actor, request })
    const [entry] = entries
    invariant(entry?.type === 'token.created', 'a token is created by one entry')
    const { sha256: _, ...facts } = entry.data as TokenEventData<'token.created'>
    // A replayed token has the secret of the first answer, which nobody can show again.
    return { ...facts, created: wallTimeOf(entry), replayed, secret: replayed ? null : secret, seq: entry.seq }
  }

  async list({ cursor, limit }: Given<typeof shapes.list>): Promise<shapes.TokenList> {
    const now = await this.#now()
    const tokens: shapes.TokenList['tokens'] = []
    for await (const token of this.#stored(cursor)) {
      if (tokens.length === limit) return { next: tokens.at(-1)?.token_id ?? null, tokens }
      const { expired_seq: _seq, revoked, sha256: _, ...facts } = token
      tokens.push({ ...facts, revoked: revoked?.time ?? null, status: statusOf(token, now) })
    }
    return { next: null, tokens }
  }

  async revoke({ actor, ...asked }: Given<typeof shapes.revoke>): Promise<shapes.RevokedToken> {
    const { entries, replayed } = await submit(this.#core, { ...asked, type: 'token.revoke' }, { actor })
    const [entry] = entries
    invariant(entry?.type === 'token.revoked', 'a token is revoked by one entry')
    return { replayed, revoked: wallTimeOf(entry), seq: entry.seq, token_id: asked.token_id }
  }

  /**
   * Whom a token names; undefined if the token is unknown, expired or revoked, or the text is no token. The id of a
   * token follows from its secret, so one row is read, which usually is in memory.
   */
  async authenticate(secret: string): Promise<Authenticated | undefined> {
    if (!secretForm.test(secret)) return undefined
    const sha256 = sha256Hex(secret)
    const token = tokenIn(await this.#core.views.row(streamOfToken(tokenIdOf(sha256))))
    if (token === undefined || !isSame(token.sha256, sha256)) return undefined
    if (statusOf(token, await this.#now()) !== 'valid') return undefined
    const { actor, grants, roles, token_id } = token
    return { actor, grants: new Set(grants), roles: new Set(roles), token_id }
  }

  /**
   * Records the expiry of tokens whose end has come, among the next `limit` tokens behind `after`. Returns the last of
   * them; undefined at the end of the list. Not an operation.
   */
  async expire(after: string | undefined, limit: number): Promise<string | undefined> {
    const now = await this.#now()
    let [seen, last]: [number, string | undefined] = [0, undefined]
    for await (const token of this.#stored(after)) {
      if (seen === limit) return last
      const { expired_seq, token_id } = token
      const isNew = expired_seq === undefined && statusOf(token, now) === 'expired'
      if (isNew) await submit(this.#core, { type: 'token.expire', token_id })
      seen += 1
      last = token_id
    }
    return undefined
  }

  /** The tokens behind one, in the order of their ids. */
  async *#stored(after: string | undefined): AsyncGenerator<TokenState> {
    const from = after === undefined ? undefined : streamOfToken(after)
    for await (const [, row] of this.#core.views.rows(`${tokenStream}/`, from)) {
      const token = tokenIn(row)
      if (token !== undefined) yield token
    }
  }

  /** The clocks that an expiry is judged by. */
  async #now(): Promise<{ time: string; wallMillis: number }> {
    const { log, now, views } = this.#core
    const last = await views.entry(log.head().size - 1)
    invariant(last !== undefined, 'a ledger has a last entry')
    return { time: last.time, wallMillis: now().wall_ms }
  }
}

const secretBytes = 32
/** 32 bytes in base64url, behind the prefix by which scanners can find a leaked token. */
const secretForm = /^lst_[A-Za-z0-9_-]{43}$/

/** Compares in constant time, so that the time of an answer tells nothing about the hash. */
function isSame(first: string, second: string): boolean {
  return timingSafeEqual(Buffer.from(first, 'hex'), Buffer.from(second, 'hex'))
}
