import { resolve } from 'node:path'
import type { Command } from 'commander'
import { LockstepError } from '../errors.ts'
import { actorFor, bearerToken, folderOf } from './context.ts'
import { say } from './output.ts'
import { stopped } from './tcp.ts'
import { local } from './verb.ts'

export function mcpVerb(): Command {
  return local('mcp', 'Serves the tools of an MCP client on stdin and stdout, until the client is gone.', {
    more: 'A harness starts it. It calls the service of the ledger, which it starts if none answers.',
    run: async ({ globals }) => {
      if (globals.operator) {
        throw new LockstepError('INVALID_INPUT', '--operator is for people: agents get a token of their own')
      }
      const { serveOnStdio } = await import('../mcp/stdio.ts')
      const session = sessionName()
      const actor = actorFor(globals, session)
      const holder = actor?.actor_id ?? session
      const dir = resolve(folderOf(globals))
      await serveOnStdio({ actor, dir, holder, say, stop: stopped().asked, token: bearerToken() })
    },
    examples: ['lockstep mcp', 'claude mcp add lockstep -- lockstep mcp'],
  })
}

/** The session of the harness, as its hooks name it, or else the process of the harness. */
function sessionName(): string {
  const { CLAUDE_CODE_SESSION_ID: session = '' } = process.env
  return /^[\w-]{1,100}$/.test(session) ? `claude:${session}` : `mcp:${process.ppid}`
}
