import * as z from 'zod'
import type { Command } from '../../kernel/decider.ts'
import { actorSchema, reasonSchema, requestKeySchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { grantsSchema, rolesSchema, type TokenEventData, tokenActorSchema, tokenIdSchema } from './events.ts'

export const createTokenSchema = z.strictObject({
  actor: actorSchema.optional(),
  /** A duration, so that a repeated request has the same content. Without it the token does not expire. */
  expires_in_s: z.int().min(1).max(limits.tokenSecondsMax).optional(),
  grants: grantsSchema.overwrite(sortedSet),
  idempotency_key: requestKeySchema.optional(),
  roles: rolesSchema.overwrite(sortedSet).default([]),
  token_actor: tokenActorSchema,
})

export const revokeTokenSchema = z.strictObject({
  actor: actorSchema.optional(),
  reason: reasonSchema.optional(),
  token_id: tokenIdSchema,
})

export const listTokensSchema = z.strictObject({
  cursor: tokenIdSchema.optional(),
  limit: z.int().min(1).max(limits.tokenListMax).default(limits.tokenListMax),
})

/** Creates the token of a secret. The command has only the SHA-256 of the secret. */
interface CreateToken extends Command, Omit<TokenEventData<'token.created'>, 'expires_at'> {
  type: 'token.create'
  expires_in_s?: number | undefined
}
interface RevokeToken extends Command, TokenEventData<'token.revoked'> {
  type: 'token.revoke'
}
/** Records that a token has expired. The ledger itself asks for it, when it meets such a token. */
interface ExpireToken extends Command {
  type: 'token.expire'
  token_id: string
}
export type TokenCommand = CreateToken | ExpireToken | RevokeToken

function sortedSet<T extends string>(values: T[]): T[] {
  return [...new Set(values)].sort()
}
