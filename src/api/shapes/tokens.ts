import * as z from 'zod'
import * as commands from '../../domain/token/commands.ts'
import { tokenEventSchemas } from '../../domain/token/events.ts'
import { hints } from '../hints.ts'
import { seq, time } from './basics.ts'

export const create = commands.createTokenSchema
export interface CreateToken extends z.input<typeof create> {}

export const list = commands.listTokensSchema
export interface ListTokens extends z.input<typeof list> {}

export const revoke = commands.revokeTokenSchema
export interface RevokeToken extends z.input<typeof revoke> {}

const { actor, expires_at, grants, roles, token_id } = tokenEventSchemas['token.created'].shape
const token = z.strictObject({ actor, created: time, expires_at, grants, roles, seq, token_id })

export const created = token.extend({ replayed: z.boolean(), secret: z.string().nullable() })
/** A new token. Only this answer has the secret; the answer to a repeated request has null in its place. */
export interface CreatedToken extends z.output<typeof created> {}

const listedToken = token.extend({ revoked: time.nullable(), status: z.enum(['expired', 'revoked', 'valid']) })
export const listed = z.strictObject({ next: z.string().nullable(), tokens: z.array(listedToken) })
/** Tokens without their secrets. */
export interface TokenList extends z.output<typeof listed> {}

export const revoked = z.strictObject({ replayed: z.boolean(), revoked: time, seq, token_id })
export interface RevokedToken extends z.output<typeof revoked> {}

const ofToken = {
  actor: { about: 'Who acts with the token.' },
  created: { about: 'When the token was created.' },
  expires_at: { about: 'When the token expires; null if it never does.' },
  grants: { about: 'What the bearer may do. No grant implies another.' },
  roles: { about: 'The roles that the bearer may state.' },
  seq: { about: 'The entry that created the token.' },
}
hints.add(create, {
  grants: { about: 'What the bearer may do. No grant implies another.', flag: 'grant' },
  roles: { about: 'A role that the bearer may state.', flag: 'role' },
})
hints.add(created, {
  ...ofToken,
  replayed: { about: 'Whether an earlier request with the same key created the token.' },
  secret: {
    about: 'What the bearer sends. It is shown only once; null when a request is repeated.',
    secret: true,
  },
})
hints.add(listedToken, { ...ofToken, status: { about: 'Whether the token is valid, expired or revoked.' } })
hints.add(revoked, {
  replayed: { about: 'Whether the token was revoked already.' },
  revoked: { about: 'When the token was revoked.' },
  seq: { about: 'The entry that revoked the token.' },
})
