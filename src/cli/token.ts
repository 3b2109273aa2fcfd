import type { Command } from 'commander'
import type { CreatedToken, TokenList } from '../api/shapes/tokens.ts'
import { table, timeText } from './output.ts'
import { noun, verb } from './verb.ts'

export function tokenCommand(asked?: string): Command {
  const verbs = { create: createVerb, list: listVerb, revoke: revokeVerb }
  return noun('token', verbs, asked, [
    'lockstep token create --actor agent-7 --type agent --grant agent --expires 30d',
    'lockstep token list',
  ])
}

function createVerb(): Command {
  return verb('create', 'tokens.create', {
    expand: ['token_actor'],
    flags: {
      'token_actor.actor_id': { about: 'the id of the actor that the token stands for', name: 'actor' },
      'token_actor.actor_type': { about: 'the type of this actor', name: 'type' },
    },
    more:
      'The secret is printed once and is stored nowhere. The caller is LOCKSTEP_ACTOR or the user of the system; ' +
      '--actor is the actor of the token.',
    lines: createdLines,
    examples: [
      'lockstep token create --actor agent-7 --type agent --grant agent --role agent --expires 30d',
      'lockstep token create --actor BECCA --type human --grant authority --json | jq -r .secret',
    ],
  })
}

function createdLines({ actor, expires_at, grants, secret, token_id }: CreatedToken): string[] {
  return [
    secret ??
      'An earlier request with this key created the token. Its secret was shown then and cannot be shown again.',
    `token ${token_id} of ${actor.actor_type} ${actor.actor_id}: ${grants.join(', ')}; ${expiryText(expires_at)}`,
  ]
}

function listVerb(): Command {
  return verb('list', 'tokens.list', {
    items: ({ tokens }) => tokens,
    lines: listedLines,
    examples: ['lockstep token list', 'lockstep token list --jsonl | jq -r .token_id'],
  })
}

async function listedLines({ next, tokens }: TokenList): Promise<string[]> {
  if (tokens.length === 0) return ['no tokens']
  const rows = tokens.map(({ actor, expires_at, grants, roles, status, token_id }) => [
    token_id,
    status,
    `${actor.actor_type} ${actor.actor_id}`,
    grants.join(', '),
    roles.join(', '),
    expiryText(expires_at),
  ])
  const lines = await table(['token', 'status', 'actor', 'grants', 'roles', 'expiry'], rows)
  return next === null ? lines : [...lines, `more: --cursor ${next}`]
}

const expiryText = (expires_at: string | null) =>
  expires_at === null ? 'never expires' : `expires ${timeText(expires_at)}`

function revokeVerb(): Command {
  return verb('revoke', 'tokens.revoke', {
    arguments: ['token_id'],
    lines: ({ replayed, revoked, token_id }) =>
      `${token_id} ${replayed ? `was revoked already, ${timeText(revoked)}` : 'is revoked'}`,
    examples: [
      'lockstep token revoke tok_0123456789abcdef01234567',
      'lockstep token revoke tok_0123456789abcdef01234567 --reason "its machine was lost"',
    ],
  })
}
