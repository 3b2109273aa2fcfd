import * as z from 'zod'
import { freeText } from '../../kernel/free-text.ts'
import { actorSchema, reasonSchema } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { line, tokenGrants } from '../../kernel/vocabulary.ts'

/** `tok_` and the first 24 hex digits of the SHA-256 of the secret, so that a secret leads to its token. */
export const tokenIdSchema = z.string().regex(/^tok_[0-9a-f]{24}$/, 'must be tok_ and 24 hex digits')

/** Who acts with a token. Its roles are in a list of their own. */
export const tokenActorSchema = actorSchema.pick({ actor_id: true, actor_type: true })
export const grantsSchema = z.array(z.enum(tokenGrants)).min(1).max(tokenGrants.length)
export const rolesSchema = z.array(line).max(limits.tokenRolesMax)

/** The secret itself is in no entry, only its SHA-256. Members are in canonical order. */
const created = z.strictObject({
  actor: tokenActorSchema,
  expires_at: z.iso.datetime({ precision: 3 }).nullable(),
  grants: grantsSchema,
  roles: rolesSchema,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  token_id: tokenIdSchema,
})

const revoked = z.strictObject({ reason: freeText(reasonSchema).optional(), token_id: tokenIdSchema })

/** The ledger recorded that the token had expired. A clock that is set back later does not make it valid again. */
const expired = z.strictObject({ expires_at: z.iso.datetime({ precision: 3 }), token_id: tokenIdSchema })

const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
  repeats: z.int().min(1).optional(),
})

export const tokenEventSchemas = {
  'token.created': created,
  'token.revoked': revoked,
  'token.expired': expired,
  'token.refused': refused,
} as const

type TokenEventType = keyof typeof tokenEventSchemas
export type TokenEventData<Type extends TokenEventType> = z.infer<(typeof tokenEventSchemas)[Type]>
export type TokenEvent = {
  [Type in TokenEventType]: { type: Type; stream: string; data: TokenEventData<Type> }
}[TokenEventType]
