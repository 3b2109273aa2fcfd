import { deniedScope } from '../../domain/lock/decide-acquire.ts'
import { isOperator } from '../../kernel/config.ts'
import type { Actor } from '../../kernel/ids.ts'
import type { Core } from '../../writer/core.ts'
import { errorOf } from '../../writer/refusals.ts'

/**
 * Refuses an actor that may not write in deliverable folders (REQ-LOCK-008) before a folder is touched, if the
 * configuration has write scopes. The decision to grant checks it again.
 * Errors: WRITE_SCOPE_DENIED.
 */
export function demandScope({ config }: Core, actor: Actor): void {
  const denied = deniedScope({ actor, config })
  if (denied !== undefined) throw errorOf(denied)
}

/**
 * The same for ending the locks of others. The release authority and operators may break a lock, so they may recover it
 * and retire its folder as well.
 */
export function demandScopeToEnd(core: Core, actor: Actor): void {
  if (!isOperator(core.config, actor.actor_id)) demandScope(core, actor)
}
