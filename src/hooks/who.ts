import { actorNamed } from '../kernel/actor-name.ts'
import { given } from '../kernel/given.ts'
import { type Actor, actorSchema } from '../kernel/ids.ts'
import { parse } from '../writer/parse.ts'
import type { HookEvent } from './event.ts'
import type { HarnessName } from './forms.ts'

/** What a hook says of who calls, beside its document. */
export interface Stated {
  /** The actor of the token. */
  actor: Actor | undefined
  /** LOCKSTEP_ACTOR and LOCKSTEP_ON_BEHALF_OF. */
  named: string | undefined
  on_behalf_of: string | undefined
}

/**
 * The actor of an event: that of the token, or the one that the environment names, or else one for each agent of each
 * session. An id of a harness is a name and no credential. Errors: INVALID_INPUT.
 */
export function actorOf(
  harness: HarnessName,
  { agent_id, session_id }: Pick<HookEvent, 'agent_id' | 'session_id'>,
  { actor, named, on_behalf_of }: Stated,
): Actor {
  const agent = agent_id === undefined ? '' : `/${agent_id}`
  const own =
    named === undefined ? { actor_id: `${harness}:${session_id}${agent}`, actor_type: 'agent' } : actorNamed(named)
  return parse(actorSchema, { ...given({ on_behalf_of }), ...(actor ?? own) }, 'the actor')
}
