import { LockstepError } from '../../errors.ts'
import { isOperator, writeScopeOf } from '../../kernel/config.ts'
import type { Actor } from '../../kernel/ids.ts'
import type { Core } from '../../writer/core.ts'

/**
 * Refuses an actor that may not write in deliverable folders (REQ-LOCK-008), if the configuration has write scopes.
 * Errors: WRITE_SCOPE_DENIED.
 */
export function demandScope({ config }: Core, { actor_id, role_id }: Actor): void {
  if (config.write_scopes === undefined) return
  const scope = writeScopeOf(config, actor_id, role_id)
  if (scope === 'deliverable-local') return
  const message = `${actor_id} has the write scope ${scope ?? 'none'}; a deliverable’s lock needs deliverable-local`
  throw new LockstepError('WRITE_SCOPE_DENIED', message, { details: { actor_id, write_scope: scope ?? null } })
}

/**
 * The same for ending the locks of others. The release authority and operators may break a lock, so they may recover it
 * and retire its folder as well.
 */
export function demandScopeToEnd(core: Core, actor: Actor): void {
  if (!isOperator(core.config, actor.actor_id)) demandScope(core, actor)
}
