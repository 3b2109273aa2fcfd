import type { CallOptions, Operations, TokenGrant } from './operation.ts'
import * as shapes from './shapes/tokens.ts'

/** Tokens: how callers of the service show who they are and what they may do. */
export interface TokensApi {
  /**
   * Creates a token. The answer has its secret, which is stored nowhere and never shown again. A repeated request with
   * the same `idempotency_key` is answered without it; if the first answer was lost, revoke the token and create
   * another. Cost: one append.
   */
  create(input: shapes.CreateToken, options?: CallOptions): Promise<shapes.CreatedToken>
  /** Tokens in the order of their ids, one page at a time. Cost: one read for each token of the ledger. */
  list(input?: shapes.ListTokens, options?: CallOptions): Promise<shapes.TokenList>
  /** Ends a token for good. Cost: one append, and none if it was revoked already. */
  revoke(input: shapes.RevokeToken, options?: CallOptions): Promise<shapes.RevokedToken>
}

const grants: readonly TokenGrant[] = ['operator']

export const tokens: Operations<TokensApi> = {
  create: {
    kind: 'command',
    summary: 'Creates a token for callers of the service.',
    input: shapes.create,
    output: shapes.created,
    errors: ['TOKEN_DENIED', 'CLOCK_AHEAD', 'IDEMPOTENCY_MISMATCH'],
    grants,
  },
  list: {
    kind: 'query',
    summary: 'Lists tokens, without their secrets.',
    input: shapes.list,
    output: shapes.listed,
    errors: [],
    grants,
  },
  revoke: {
    kind: 'command',
    summary: 'Revokes a token.',
    input: shapes.revoke,
    output: shapes.revoked,
    errors: ['TOKEN_DENIED', 'NOT_FOUND'],
    grants,
  },
}
