import type { Api } from '../api/api.ts'
import type { Actor, RecordedActor } from '../kernel/ids.ts'
import type { HookEvent } from './event.ts'
import type { Session } from './sessions.ts'

/** One event of a hook, with who asks and in which session. */
export interface Asked<Kind extends HookEvent['kind'] = HookEvent['kind']> {
  actor: Actor
  /** The operations of the ledger in the name of this actor. */
  api: Pick<Api, 'audit' | 'locks'>
  /** The operations on runs in the name of the session's main agent, who has its run. */
  main: { actor: RecordedActor; runs: Api['runs'] }
  event: Extract<HookEvent, { kind: Kind }>
  session: Session
  /** A lock_id that the hook shows: the agent holds that lock. */
  shown: string | undefined
}
